// The page: its light, and what stands out from it; what `background.py` does, and its reasons are there.
//
// Floats are added and multiplied in the order of `background.py`: in another they would be rounded otherwise.

import {
  blank, blockMean, boxOf, ceilDiv, cut, mapped, maximumFilter, minimumFilter, quantile, rounded,
} from "./ndimage.js";

export const QUARTERS = 4; // of a grey level: the unit of what stands out from the page
const SURFACE_SIDE = 60; // longer side of the copy that the surface is fitted to, in pixels
const [PAGE_SHARE, PAGE_SPREAD] = [0.35, 2.5]; // page: within 2.5 times the residual of the best 35 %
const FITS = [1, 3, 3, 3, 6, 6, 6]; // coefficients of each fit: a level, a plane, a quadratic

const WHITE = 255;
const HAT_SHARE = 10; // half the top hat's window, as a part of the longer side

/**
 * The six coefficients of the quadratic surface that fits the bare page's light.
 *
 * Least trimmed squares: fit, keep the pixels nearest to the fit, fit again. Coordinates are twice the pixels'
 * distances from the middle: whole numbers.
 */
export function pageSurface(picture, page) {
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
  const { height, width } = picture;
  const blur = blurred(picture);
  const out = blank(height, width);
  for (let row = 0, place = 0; row < height; row++) {
    for (let column = 0; column < width; column++, place++) {
      const level = blur.data[place] / (16 / QUARTERS);
      out.data[place] = rounded(level - QUARTERS * surfaceAt(surface, y[row], x[column]));
    }
  }
  return out;
}

/** How far what is narrower than a window lies above (sign 1) or below the rest, in quarter levels: the top hat. */
export function topHat(picture, sign) {
  const { height, width } = picture;
  const reach = Math.floor(Math.max(height, width) / HAT_SHARE) + 1;
  const upright = mapped(blurred(picture), (level) => {
    const quarters = Math.floor(level / (16 / QUARTERS));
    return sign > 0 ? quarters : QUARTERS * WHITE - quarters;
  });
  const opened = maximumFilter(minimumFilter(edged(upright, reach), reach), reach);
  const inner = cut(opened, boxOf(reach, reach + height, reach, reach + width));
  return mapped(upright, (level, place) => level - inner.data[place]);
}

/** The picture with its border's levels going on for `reach` pixels. */
function edged({ height, width, data }, reach) {
  const out = blank(height + 2 * reach, width + 2 * reach);
  const within = (place, length) => Math.min(Math.max(place - reach, 0), length - 1);
  return mapped(out, (_, place) => {
    const [y, x] = [Math.floor(place / out.width), place % out.width];
    return data[within(y, height) * width + within(x, width)];
  });
}

/** Sixteen times the levels, blurred by a binomial 3x3. */
function blurred({ height, width, data }) {
  const rows = weighted(data, height, width, width, 1);
  return { height, width, data: weighted(rows, width, height, 1, width) };
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
