// The page: its light, and the ink that stands out from it; what `page.py` does, and its reasons are there.
//
// Floats are added and multiplied in the order of `page.py`: in another they would be rounded otherwise.

import { blank, blockMean, box, ceilDiv, chosen, components, mapped, quantile, rounded } from "./ndimage.js";

export const QUARTERS = 4; // of a grey level: the unit of what stands out from the page
const SURFACE_SIDE = 60; // longer side of the copy that the surface is fitted to, in pixels
const [PAGE_SHARE, PAGE_SPREAD] = [0.35, 2.5]; // page: within 2.5 times the residual of the best 35 %
const FITS = [1, 3, 3, 3, 6, 6, 6]; // coefficients of each fit: a level, a plane, a quadratic

const NOISE_FACTOR = 5.0; // ink stands out by so many deviations ...
export const LEAST_CONTRAST = 10; // ... and by so many levels
const QUARTER_OF_NORMAL = 0.3186; // a quarter of a normal distribution lies within this many deviations
export const INK_RANK = 0.75;
const FOUND_SHARE = 0.3; // found: above 30 % of the ink's upper quartile
const SPECK_SHARE = 0.04; // lighter than this share of the main stroke: a speck
// A digit on a page with its table in view, or on the table.
const [TABLE_SIDE, ISLAND_LEAST, ISLAND_MOST, ISLAND_SHARE] = [100, 8, 0.4, 0.005];

/** What stands out most from the page: `{ mask, mass, sign, surface }`; the mask is empty where nothing does. */
export function findInk(picture) {
  const { height, width } = picture;
  const everything = mapped(blank(height, width), () => 1);
  const found = outstanding(picture, everything, false);
  const corners = [0, width - 1, (height - 1) * width, height * width - 1];
  const cornered = corners.some((place) => found.mask.data[place]);
  if (!cornered || Math.min(height, width) < TABLE_SIDE) return found;
  const pages = [everything, found.mask, mapped(found.mask, (level) => 1 - level)];
  const island = heavier(pages.map((page) => outstanding(picture, page, true)));
  return island.mass > ISLAND_SHARE * found.mass ? island : found;
}

/** The first of those whose mass is the largest. */
const heavier = (ones) => ones.reduce((most, one) => (one.mass > most.mass ? one : most));

/** The heaviest group that stands out from the surface fitted to `page`, a part of the picture. */
function outstanding(picture, page, islands) {
  const surface = pageSurface(picture, page);
  const [y, x] = [picture.height, picture.width].map((side) => middlePoints(side, side).map((place) => place - side));
  const heights = relief(picture, surface, y, x);
  const onPage = chosen(heights.data, (_, place) => page.data[place]);
  const noise = quantile(onPage.map(Math.abs), 0.25) / QUARTER_OF_NORMAL;
  const least = Math.max(NOISE_FACTOR * noise, LEAST_CONTRAST * QUARTERS);
  const group = (sign) => heaviest(heights, sign, least, islands);
  return heavier([-1, 1].map((sign) => ({ ...group(sign), sign, surface })));
}

/**
 * The heaviest group above the threshold, of depths where `sign` is -1, with its main stroke's mass; islands touch no
 * border.
 */
function heaviest(heights, sign, least, islands) {
  const { height, width } = heights;
  const strong = chosen(heights.data, (level) => sign * level > least).map(Math.abs);
  if (!strong.length) return { mask: blank(height, width), mass: 0 };
  const threshold = Math.max(least, FOUND_SHARE * quantile(strong, INK_RANK));
  const parts = components(mapped(heights, (level) => (sign * level > threshold ? 1 : 0)));
  const mass = masses(parts, heights.data).map(Math.abs);
  const onBorder = touching(parts, (y, x) => y === 0 || y === height - 1 || x === 0 || x === width - 1, width);
  if (islands || !onBorder[largest(mass)]) onBorder.forEach((touches, one) => touches && (mass[one] = 0));
  const mask = grouped(heights, parts, mass);
  const { longer } = box(mask);
  const fits = ISLAND_LEAST <= longer && longer <= ISLAND_MOST * Math.min(height, width);
  return { mask, mass: fits || !islands ? mass[largest(mass)] : 0 };
}

/** The sum of the levels of each component. */
export function masses({ where, label }, data) {
  const mass = new Float64Array(where.length);
  where.forEach((place, one) => (mass[label[one]] += data[place]));
  return mass;
}

/** For each component whether one of its pixels is as `wanted(y, x)` says. */
function touching({ where, label }, wanted, width) {
  const touches = new Uint8Array(where.length);
  where.forEach((place, one) => wanted(Math.floor(place / width), place % width) && (touches[label[one]] = 1));
  return touches;
}

/** The place of the largest value, the first of several. */
const largest = (values) => values.reduce((most, value, place) => (value > values[most] ? place : most), 0);

/** The heaviest component with those near it that are more than specks. */
export function grouped({ height, width }, parts, mass) {
  const { where, label } = parts;
  const mask = blank(height, width);
  const main = largest(mass);
  where.forEach((place, one) => label[one] === main && (mask.data[place] = 1));
  const { top, bottom, left, right, longer } = box(mask);
  const reach = Math.floor((longer - 1) / 3) + 2;
  const isNear = (y, x) => y >= top - reach && y < bottom + reach && x >= left - reach && x < right + reach;
  const near = touching(parts, isNear, width);
  const kept = mass.map((value, one) => near[one] && value >= SPECK_SHARE * mass[main]);
  where.forEach((place, one) => (mask.data[place] = kept[label[one]]));
  return mask;
}

/**
 * The six coefficients of the quadratic surface that fits the bare page's light.
 *
 * Least trimmed squares: fit, keep the pixels nearest to the fit, fit again. Coordinates are twice the pixels'
 * distances from the middle: whole numbers.
 */
function pageSurface(picture, page) {
  const { height, width } = picture;
  const step = Math.min(ceilDiv(Math.max(height, width), SURFACE_SIDE), height, width);
  const small = blockMean(picture, step);
  const places = placesOn(page, small, step);
  const level = Float64Array.from(places, (place) => small.data[place]);
  const y = Float64Array.from(places, (place) => (2 * Math.floor(place / small.width) + 1) * step - height);
  const x = Float64Array.from(places, (place) => (2 * (place % small.width) + 1) * step - width);
  const terms = [x.map(() => 1), x, y, x.map((at) => at * at), x.map((at, one) => at * y[one]), y.map((at) => at * at)];
  let surface = [quantile(page.data.every(Boolean) ? rim(small) : level, 0.5), 0, 0, 0, 0, 0];
  const residual = new Float64Array(places.length);
  for (const count of FITS) {
    for (let at = 0; at < level.length; at++) residual[at] = Math.abs(level[at] - surfaceAt(surface, y[at], x[at]));
    const most = PAGE_SPREAD * quantile(residual, PAGE_SHARE) + 1;
    const kept = residual.map((far) => (far <= most ? 1 : 0));
    surface = leastSquares(terms.slice(0, count), level, kept);
  }
  return surface;
}

/** The places of the small copy's pixels whose middle lies on the page; of all where none does. */
function placesOn(page, small, step) {
  const half = Math.floor(step / 2);
  const isOn = (place) => {
    const [row, column] = [Math.floor(place / small.width), place % small.width];
    return page.data[(half + row * step) * page.width + half + column * step];
  };
  const all = [...small.data.keys()];
  return all.some(isOn) ? all.filter(isOn) : all;
}

/** The levels along the four sides, those of the corners twice. */
function rim({ height, width, data }) {
  const side = (x) => Array.from({ length: height }, (_, y) => data[y * width + x]);
  return [...data.subarray(0, width), ...data.subarray((height - 1) * width), ...side(0), ...side(width - 1)];
}

/** The surface's level; two rows of three terms, a parabola along x for each y. */
const surfaceAt = (c, y, x) => c[0] + c[2] * y + c[5] * (y * y) + x * (c[1] + c[4] * y + c[3] * x);

/** Solve the normal equations of the kept pixels by Gaussian elimination, in one fixed order of operations. */
function leastSquares(terms, level, kept) {
  const count = terms.length;
  const matrix = terms.map((one) => terms.map((other) => dot(one, other, kept)));
  const right = terms.map((one) => dot(one, level, kept));
  const floor = matrix.map((row, i) => 1e-9 * row[i]);
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      const ratio = matrix[i][i] > floor[i] ? matrix[j][i] / matrix[i][i] : 0;
      for (let k = i; k < count; k++) matrix[j][k] -= ratio * matrix[i][k];
      right[j] -= ratio * right[i];
    }
  }
  const solution = [0, 0, 0, 0, 0, 0];
  for (let i = count - 1; i >= 0; i--) {
    for (let k = i + 1; k < count; k++) right[i] -= matrix[i][k] * solution[k];
    solution[i] = matrix[i][i] > floor[i] ? right[i] / matrix[i][i] : 0;
  }
  return solution;
}

function dot(one, other, kept) {
  let sum = 0;
  for (let at = 0; at < one.length; at++) if (kept[at]) sum += one[at] * other[at];
  return sum;
}

/** How far the slightly blurred picture lies above the page, in quarter levels. */
export function relief(picture, surface, y, x) {
  const { height, width, data } = picture;
  const rows = weighted(data, height, width, width, 1);
  const columns = weighted(rows, width, height, 1, width); // sixteen times the blurred level
  const out = blank(height, width);
  for (let row = 0, place = 0; row < height; row++) {
    for (let column = 0; column < width; column++, place++) {
      const level = columns[place] / (16 / QUARTERS);
      out.data[place] = rounded(level - QUARTERS * surfaceAt(surface, y[row], x[column]));
    }
  }
  return out;
}

/** Each level twice with its two neighbours along lines of `length`, `step` apart; the border's level goes on. */
function weighted(data, length, lines, step, apart) {
  const sums = new Float64Array(data.length);
  for (let line = 0; line < lines; line++) {
    const start = line * apart;
    for (let at = 0; at < length; at++) {
      const before = data[start + Math.max(at - 1, 0) * step];
      const after = data[start + Math.min(at + 1, length - 1) * step];
      sums[start + at * step] = before + 2 * data[start + at * step] + after;
    }
  }
  return sums;
}

/** Twice the places of the middles of `count` equal parts of `length`. */
export function middlePoints(length, count) {
  return Array.from({ length: count }, (_, place) => ((2 * place + 1) * length) / count);
}
