// Figures in a mask of ink: which components are one digit; what `figures.py` does, and its reasons are there.

import { SIXTEENTHS, blank, components, innerDistance, meanWidth } from "./ndimage.js";

const SPECK_SHARE = 0.04; // lighter than this share of the main stroke: a speck
const FLAT = 4; // times as wide as high, below the digit: an underline
const [FIGURE_HEIGHT, FIGURE_MOST] = [0.6, 3]; // times as high as the digit: another figure is between the two
const FIGURE_MASS = 0.2; // of the digit's: another figure has as much
const [FIGURE_ABOVE, FIGURE_REACH] = [0.3, 4]; // times the digit's length: how far above or below, and how far at most
const LEAST_WIDTH = 4; // of a stroke, in coarse pixels: thinner ones count as so wide
const LEAST_STROKE = 8; // coarse pixels: the extent of what counts as a stroke
// So many times as long as wide, or as wide as high, or so much of its box: hardly a digit.
const [BAR, WIDE] = [5, 2];
const SOLID = 0.75;

/** The components of the ink by label, each with its mass and its box: `top` to `right` are the last inside. */
export function partsOf(above, ink) {
  const { height, width } = ink;
  const { where, label } = components(ink);
  const filled = (level) => new Float64Array(label.length).fill(level);
  const parts = { height, width, where, label, mass: filled(0), area: filled(0) };
  Object.assign(parts, { top: filled(height), bottom: filled(-1), left: filled(width), right: filled(-1) });
  where.forEach((place, one) => {
    const [part, y, x] = [label[one], Math.floor(place / width), place % width];
    parts.mass[part] += above.data[place];
    parts.area[part]++;
    parts.top[part] = Math.min(parts.top[part], y);
    parts.bottom[part] = Math.max(parts.bottom[part], y);
    parts.left[part] = Math.min(parts.left[part], x);
    parts.right[part] = Math.max(parts.right[part], x);
  });
  return parts;
}

/** Whether a component stays off the border. */
export const isInner = ({ height, width, top, bottom, left, right }, one) =>
  top[one] > 0 && left[one] > 0 && bottom[one] < height - 1 && right[one] < width - 1;

const heightOf = (parts, one) => parts.bottom[one] - parts.top[one] + 1;
const widthOf = (parts, one) => parts.right[one] - parts.left[one] + 1;

/** The parts with their masses divided by their widths' third power: strokes outweigh blots and bands. */
export function asStrokes(parts, ink) {
  const depth = innerDistance(ink);
  const depths = new Float64Array(parts.label.length);
  parts.where.forEach((place, one) => (depths[parts.label[one]] += depth.data[place]));
  const mass = parts.mass.map((value, one) => {
    const area = Math.max(1, parts.area[one]);
    const width = Math.floor((4 * depths[one]) / (SIXTEENTHS * area));
    const [high, wide] = [heightOf(parts, one), widthOf(parts, one)];
    if (Math.max(high, wide) < LEAST_STROKE) return 0;
    const stroke = Math.floor((1000 * value) / Math.max(width, LEAST_WIDTH) ** 3);
    const bar = BAR * Math.min(high, wide) < Math.max(high, wide) || area > SOLID * high * wide;
    return bar || wide > WIDE * high ? Math.floor(stroke / BAR) : stroke;
  });
  return { ...parts, mass };
}

/** The mass that `asStrokes` would give to the whole mask as one stroke. */
export function strokeMass(mask, heights) {
  let mass = 0;
  mask.data.forEach((is, place) => is && (mass += Math.abs(heights.data[place])));
  return mask.data.some(Boolean) ? (1000 * mass) / Math.max(Math.trunc(meanWidth(mask)), LEAST_WIDTH) ** 3 : 0;
}

/** The place of the largest value, the first of several. */
const largest = (values) => values.reduce((most, value, place) => (value > values[most] ? place : most), 0);

/** The heaviest component with the pieces near it, and those near these: a stroke may be dotted. */
export function mainFigure(parts) {
  const main = largest(parts.mass);
  const labels = [...new Set(parts.label)];
  let known = [main];
  for (let count = 0; known.length > count; ) {
    count = known.length;
    const isPiece = pieces(parts, main, known);
    known = labels.filter((one) => isPiece(one) || known.includes(one));
  }
  return masked(parts, (one) => known.includes(one));
}

/** The heaviest component with the pieces near it that are not figures of their own, and the count of figures. */
export function mainOfSeveral(parts) {
  const main = largest(parts.mass);
  const [isPiece, isOther] = [pieces(parts, main, [main]), others(parts, main)];
  const figures = parts.mass.reduce((count, _, one) => count + (isOther(one) ? 1 : 0), 1);
  return { mask: masked(parts, (one) => isPiece(one) && !isOther(one)), figures };
}

/** The mask of the components that are kept. */
function masked({ height, width, where, label, mass }, kept) {
  const mask = blank(height, width);
  const keeps = mass.map((_, one) => (kept(one) ? 1 : 0));
  where.forEach((place, one) => (mask.data[place] = keeps[label[one]]));
  return mask;
}

/** Whether a component belongs to the known ones: more than a speck, near them, no underline and no full stop. */
function pieces(parts, main, known) {
  const [top, left] = [parts.top, parts.left].map((sides) => Math.min(...known.map((one) => sides[one])));
  const [bottom, right] = [parts.bottom, parts.right].map((sides) => Math.max(...known.map((one) => sides[one])));
  const longer = Math.max(bottom - top, right - left);
  const reach = Math.floor(longer / 3) + 2;
  const near = new Uint8Array(parts.label.length);
  parts.where.forEach((place, one) => {
    const [y, x] = [Math.floor(place / parts.width), place % parts.width];
    if (y >= top - reach && y <= bottom + reach && x >= left - reach && x <= right + reach) near[parts.label[one]] = 1;
  });
  return (one) => {
    const [high, wide] = [heightOf(parts, one), widthOf(parts, one)];
    const underline = parts.top[one] > bottom + Math.floor(longer / 10) && wide >= FLAT * high;
    const compact = Math.max(high, wide) <= Math.floor(longer / 4);
    const stop = parts.left[one] > right && 2 * parts.top[one] > top + bottom && compact;
    return near[one] && parts.mass[one] >= SPECK_SHARE * parts.mass[main] && !underline && !stop;
  };
}

/** Whether a component is a figure beside the main one, or well above or below it. */
function others(parts, main) {
  const [top, bottom, left, right] = [parts.top[main], parts.bottom[main], parts.left[main], parts.right[main]];
  const [longer, height] = [Math.max(bottom - top, right - left), bottom - top + 1];
  const inner = isInner(parts, main);
  return (one) => {
    const beside = Math.max(parts.left[one] - right, left - parts.right[one]);
    const above = Math.max(parts.top[one] - bottom, top - parts.bottom[one]);
    const apart = beside > 0 || above > FIGURE_ABOVE * longer;
    const high = heightOf(parts, one);
    const alike = high >= FIGURE_HEIGHT * height && high <= FIGURE_MOST * height;
    const heavy = parts.mass[one] >= FIGURE_MASS * parts.mass[main];
    return apart && Math.max(beside, above) <= FIGURE_REACH * longer && alike && heavy && (!inner || isInner(parts, one));
  };
}
