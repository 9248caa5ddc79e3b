// Where the digit is: hypotheses about the page; what `locate.py` does, and its reasons are there.

import { QUARTERS, middlePoints, pageSurface, relief, topHat } from "./background.js";
import { asStrokes, isInner, mainOfSeveral, partsOf, strokeMass } from "./figures.js";
import { straightLines, without } from "./lines.js";
import {
  blank, box, boxOf, chosen, components, cut, laid, mapped, maximumFilter, quantile, uniformFilter,
} from "./ndimage.js";

const NOISE_FACTOR = 5.0; // ink stands out by so many deviations ...
export const LEAST_CONTRAST = 10; // ... and by so many levels
const WEAK = 0.6; // of the threshold: ink, where it is joined to ink that exceeds it
const QUARTER_OF_NORMAL = 0.3186; // a quarter of a normal distribution lies within this many deviations
export const INK_RANK = 0.75;
const FOUND_SHARE = 0.3; // found: above 30 % of the ink's upper quartile
const [GRAIN_RADIUS, GRAIN_FACTOR] = [3, 10.0]; // noise beyond 10 deviations from the mean nearby hides strokes
const GRAINY_SHARE = 7; // times a digit's extent in a grainy picture: more than the picture's longer side
const HAT_FACTOR = 4; // times the median of the top hat: ink
export const LEAST_EXTENT = 5; // of a digit, in coarse pixels
const RIM_MOST = 0.8; // of its length: a digit that the border cuts has no more along one side
const INNER_SHARE = 0.1; // of the heaviest stroke's mass: one off the border is preferred to one that it cuts
const CLEARER = 3; // times the mass as a stroke: a stroke is preferred to a blot at the border, the hat's to another
const [PAGE_SIDE, PAGE_MOST, PAGE_FILL] = [0.25, 0.9, 0.85]; // of the picture's side, of its area, of its own box
const LEAST_PAGE = 100; // coarse pixels: a smaller picture is of one page
const [FRAME_SIDES, FRAME_COVERED, FRAME_BAND, FRAME_LEAST, FRAMED_LEAST] = [3, 0.85, 12, 0.4, 0.03];

/** The digit's ink: `{ mask, mass, sign, surface, figures, grainy }`; the mask is empty where none stands out. */
export function findInk(picture, nested = false) {
  const { height, width } = picture;
  const view = viewOf(picture);
  const whole = wholeOf(view, nested);
  if (view.grainy && box(whole.mask).longer * GRAINY_SHARE < Math.max(height, width)) return nothing(whole);
  const inFrame = framed(view, whole);
  if (inFrame) return inFrame;
  const isFound = isAny(whole.mask);
  const large = Math.max(height, width) >= LEAST_PAGE;
  const edge = alongRim(whole.mask);
  const pages = nested || !large ? [] : pagesOf(isFound ? whole.mask : darker(picture), edge);
  const trusted = isFound && !edge && !pages.length && !isAny(straightLines(whole.mask));
  if (trusted && !(large && atRim(whole.mask))) return whole;
  const least = trusted ? strokeMass(whole.mask, view.inks[0].above) : 0; // the border cuts it: a digit, or a table
  const onPages = () => pages.map((page) => onPage(picture, page));
  const offLines = () => [best(unruled(view), true), hatOf(picture, view)];
  for (const hypothesis of [onPages, offLines]) {
    const digits = hypothesis().filter(({ mask, mass }) => isDigit(mask) && mass >= least);
    if (digits.length) return heavier(digits);
  }
  return edge ? nothing(whole) : whole;
}

const isAny = ({ data }) => data.some(Boolean);

/** The first of those whose mass is the largest. */
const heavier = (ones) => ones.reduce((most, one) => (one.mass > most.mass ? one : most));

/** The picture on a smooth page: for each sign how far it stands out, and the ink. */
function viewOf(picture) {
  const { height, width } = picture;
  const surface = pageSurface(picture, mapped(blank(height, width), () => 1));
  const [y, x] = [height, width].map((side) => middlePoints(side, side).map((place) => place - side));
  let heights = relief(picture, surface, y, x);
  let least = Math.max(NOISE_FACTOR * deviation(heights.data), LEAST_CONTRAST * QUARTERS);
  const strong = chosen(heights.data.map(Math.abs), (level) => level > least);
  const near = uniformFilter(heights, GRAIN_RADIUS);
  const grain = GRAIN_FACTOR * deviation(heights.data.map((level, place) => level - near.data[place]));
  const grainy = strong.length > 0 && grain > FOUND_SHARE * quantile(strong, INK_RANK);
  if (grainy) [heights, least] = [uniformFilter(heights, 1), least / 2];
  const inks = [-1, 1].map((sign) => {
    const above = mapped(heights, (level) => sign * level);
    return { sign, above, ink: inkOf(above, least) };
  });
  return { surface, inks, grainy };
}

/** The standard deviation of noise, from its smallest quarter: ink is not noise. */
const deviation = (heights) => quantile(heights.map(Math.abs), 0.25) / QUARTER_OF_NORMAL;

/** What exceeds the threshold, and what is joined to it and exceeds less. */
function inkOf(above, least) {
  const strong = chosen(above.data, (level) => level > least);
  const ink = blank(above.height, above.width);
  if (!strong.length) return ink;
  const level = FOUND_SHARE * quantile(strong, INK_RANK);
  const weak = Math.max(WEAK * least, level);
  const { where, label } = components(mapped(above, (value) => (value > weak ? 1 : 0)));
  const held = new Uint8Array(label.length);
  where.forEach((place, one) => above.data[place] > Math.max(least, level) && (held[label[one]] = 1));
  where.forEach((place, one) => (ink.data[place] = held[label[one]]));
  return ink;
}

/** What stands out most; a stroke inside the picture rather than a blot at its border, but for a page. */
function wholeOf(view, strokes) {
  const whole = best(view, strokes);
  if (!atRim(whole.mask)) return whole;
  const stroke = best(view, true);
  const clear = stroke.mass > CLEARER * strokeMass(whole.mask, view.inks[0].above);
  const isPage = fills(whole.mask, PAGE_FILL) && isAny(cut(stroke.mask, box(whole.mask)));
  return clear && !isPage && isDigit(stroke.mask) ? stroke : whole;
}

/** The heaviest figure of either sign; with `strokes`, the one that looks most like strokes. */
const best = (view, strokes) => heavier(view.inks.map((ink) => heaviest(view, ink, strokes)));

/** The heaviest figure of the ink, off the border if there is one that counts. */
function heaviest({ surface, grainy }, { sign, above, ink }, strokes) {
  if (!isAny(ink)) return { mask: ink, mass: 0, sign, surface, figures: 1, grainy: false };
  let parts = partsOf(above, ink);
  if (strokes) parts = asStrokes(parts, ink);
  const mass = largest(parts.mass);
  const inner = parts.mass.map((value, one) => (isInner(parts, one) ? value : 0));
  if (largest(inner) >= (strokes ? INNER_SHARE * mass : mass)) parts = { ...parts, mass: inner };
  return { ...mainOfSeveral(parts), mass, sign, surface, grainy };
}

const largest = (values) => values.reduce((most, value) => Math.max(most, value));

const nothing = (found) => ({ ...found, mask: mapped(found.mask, () => 0) });

/** The digit inside the frame that the found ink is, if it is one. */
function framed(view, whole) {
  if (!isFrame(whole.mask)) return undefined;
  const inside = best(unruled(view, box(whole.mask)), true);
  const massOf = (mask) => mask.data.reduce((sum, is, place) => sum + (is && Math.abs(view.inks[0].above.data[place])), 0);
  const enough = massOf(inside.mask) > FRAMED_LEAST * massOf(whole.mask);
  return enough && isDigit(inside.mask) ? inside : undefined;
}

/** Whether ink runs along at least three of the four sides of its own box. */
function isFrame(mask) {
  const part = cut(mask, box(mask));
  const { height, width } = part;
  if (Math.min(height, width) < FRAME_LEAST * Math.min(mask.height, mask.width)) return false;
  const [down, along] = [height, width].map((length) => 2 + Math.floor(length / FRAME_BAND));
  const sides = [new Uint8Array(width), new Uint8Array(width), new Uint8Array(height), new Uint8Array(height)];
  part.data.forEach((is, place) => {
    const [y, x] = [Math.floor(place / width), place % width];
    if (is && y < down) sides[0][x] = 1;
    if (is && y >= height - down) sides[1][x] = 1;
    if (is && x < along) sides[2][y] = 1;
    if (is && x >= width - along) sides[3][y] = 1;
  });
  const isCovered = (side) => side.reduce((sum, is) => sum + is, 0) > FRAME_COVERED * side.length;
  return sides.filter(isCovered).length >= FRAME_SIDES;
}

/** The view without straight lines across the picture, or across a part of it and nothing beside that. */
function unruled(view, part, nearRim = false) {
  const inks = view.inks.map(({ sign, above, ink }) => {
    const inside = part ? cut(ink, part) : ink;
    const rest = without(inside, straightLines(inside, nearRim));
    return { sign, above, ink: part ? laid(rest, ink.height, ink.width, part.top, part.left) : rest };
  });
  return { ...view, inks, grainy: false };
}

/** The digit among what is narrower than the top hat's window, the page's surface fitted around it. */
function hatOf(picture, view) {
  const inks = [-1, 1].map((sign) => {
    const above = topHat(picture, sign);
    const least = Math.max(HAT_FACTOR * quantile(above.data, 0.5), LEAST_CONTRAST * QUARTERS);
    return { sign, above, ink: inkOf(above, least) };
  });
  const found = best(unruled({ ...view, inks }, undefined, true), true);
  const page = boxOf(0, picture.height, 0, picture.width);
  const mass = Math.floor(found.mass / CLEARER);
  return { ...found, mass, surface: pageSurface(picture, around(found.mask, page)) };
}

/** The parts of the picture that may be a page of their own: what is solid, and what lies beside it. */
function pagesOf(mask, isEdge) {
  const { height, width } = mask;
  const margin = 2 + Math.floor(Math.max(height, width) / 60);
  const solid = [mask, mapped(mask, (is) => 1 - is)].flatMap((part) => (fills(part, PAGE_FILL) ? [box(part)] : []));
  const { top, bottom, left, right } = box(mask);
  const beside = [
    [0, height, 0, left],
    [0, height, right, width],
    [0, top, 0, width],
    [bottom, height, 0, width],
  ];
  if (isEdge) solid.push(...beside.map((sides) => boxOf(...sides)));
  return solid.flatMap((part) => {
    const page = boxOf(part.top + margin, part.bottom - margin, part.left + margin, part.right - margin);
    const large =
      Math.min(page.height, page.width) >= PAGE_SIDE * Math.min(height, width) &&
      part.height * part.width < PAGE_MOST * height * width;
    return large ? [page] : [];
  });
}

/** Whether the ink fills a share of its own box. */
function fills(mask, share) {
  const { height, width } = box(mask);
  return mask.data.reduce((sum, is) => sum + is, 0) >= share * height * width;
}

/** What is darker than the middle of the picture's range. */
function darker(picture) {
  const middle = (quantile(picture.data, 0.05) + quantile(picture.data, 0.95)) / 2;
  return mapped(picture, (level) => (level < middle ? 1 : 0));
}

/** The digit on a part of the picture. */
function onPage(picture, page) {
  const found = findInk(cut(picture, page), true);
  const whole = atRim(found.mask) ? mapped(found.mask, () => 0) : found.mask;
  const mask = laid(whole, picture.height, picture.width, page.top, page.left);
  return { ...found, mask, surface: pageSurface(picture, around(mask, page)) };
}

/** The page beside the ink: its box with a margin, without the ink and what borders on it. */
function around(mask, page) {
  const digit = box(mask);
  const margin = 3 + Math.floor(digit.longer / 4);
  const [top, bottom] = [Math.max(page.top, digit.top - margin), Math.min(page.bottom, digit.bottom + margin)];
  const [left, right] = [Math.max(page.left, digit.left - margin), Math.min(page.right, digit.right + margin)];
  return mapped(maximumFilter(mask, 2), (is, place) => {
    const [y, x] = [Math.floor(place / mask.width), place % mask.width];
    return !is && y >= top && y < bottom && x >= left && x < right ? 1 : 0;
  });
}

/** Whether there is ink of some size, and none at the border. */
const isDigit = (mask) => box(mask).longer >= LEAST_EXTENT && !atRim(mask);

const atRim = (mask) => rimOf(mask).some((count) => count > 0);

/** Whether the ink lies along one side of the picture: no digit that the border cuts. */
const alongRim = (mask) => Math.max(...rimOf(mask)) > RIM_MOST * box(mask).longer;

/** How many pixels along each side are ink. */
function rimOf({ height, width, data }) {
  const count = [0, 0, 0, 0];
  for (let x = 0; x < width; x++) {
    count[0] += data[x];
    count[1] += data[(height - 1) * width + x];
  }
  for (let y = 0; y < height; y++) {
    count[2] += data[y * width];
    count[3] += data[y * width + width - 1];
  }
  return count;
}
