// Pictures as arrays: the few operations that `canonicalize` is made of, the numbers of `ndimage.py`.
//
// A picture is `{ height, width, data }`, its levels row by row. Sums are of whole numbers below 2**53, which a
// double holds exactly: any order gives the same.

export const SIXTEENTHS = 16; // of a pixel: the unit of distances
export const REACH = 14; // the furthest distance measured, in pixels

export const blank = (height, width) => ({ height, width, data: new Float64Array(height * width) });

/** The picture of the same shape with each level put through `change(level, place)`. */
export function mapped({ height, width, data }, change) {
  const out = blank(height, width);
  // A loop, for `data.map` is slower, and this is most of the work.
  for (let place = 0; place < data.length; place++) out.data[place] = change(data[place], place);
  return out;
}

/** The values for which `wanted(value, place)` holds. */
export function chosen(values, wanted) {
  const out = new Float64Array(values.length);
  let count = 0;
  for (let place = 0; place < values.length; place++) if (wanted(values[place], place)) out[count++] = values[place];
  return out.subarray(0, count);
}

/** The smallest box around the pixels that are not 0; `bottom` and `right` lie outside. All 0 where there is none. */
export function box({ height, width, data }) {
  let [top, bottom, left, right] = [height, 0, width, 0];
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < width; x++, place++) {
      if (!data[place]) continue;
      top = Math.min(top, y);
      bottom = y + 1;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
    }
  }
  return bottom ? boxOf(top, bottom, left, right) : boxOf(0, 0, 0, 0);
}

export function boxOf(top, bottom, left, right) {
  const [height, width] = [bottom - top, right - left];
  return { top, bottom, left, right, height, width, longer: Math.max(height, width) };
}

/** The part of a picture `factor` times as large as the one that the box was found in. */
export function cut({ width, data }, part, factor = 1) {
  const out = blank(part.height * factor, part.width * factor);
  for (let y = 0; y < out.height; y++) {
    const start = (part.top * factor + y) * width + part.left * factor;
    out.data.set(data.subarray(start, start + out.width), y * out.width);
  }
  return out;
}

/** The picture laid on a page of zeros. */
export function laid(picture, height, width, top, left) {
  const out = blank(height, width);
  for (let y = 0; y < picture.height; y++) {
    out.data.set(picture.data.subarray(y * picture.width, (y + 1) * picture.width), (top + y) * width + left);
  }
  return out;
}

export const ceilDiv = (numerator, denominator) => Math.ceil(numerator / denominator);

/** The whole number nearest to the quotient, the larger of two equally near. */
export const divided = (numerator, denominator) => Math.floor((2 * numerator + denominator) / (2 * denominator));

/** The nearest whole number, the larger of two equally near. */
export const rounded = (value) => Math.floor(value + 0.5);

/** The value that stands `share` of the way up when all are sorted; found by Hoare's selection, without sorting all. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values);
  const place = Math.floor(share * sorted.length);
  for (let [low, high] = [0, sorted.length - 1]; low < high; ) {
    const pivot = sorted[place];
    let [left, right] = [low, high];
    while (left <= right) {
      while (sorted[left] < pivot) left++;
      while (sorted[right] > pivot) right--;
      if (left > right) break;
      const value = sorted[left];
      sorted[left++] = sorted[right];
      sorted[right--] = value;
    }
    if (right < place) low = left;
    if (left > place) high = right;
  }
  return sorted[place];
}

/** The rounded means of `factor` x `factor` blocks; what is left over is dropped. */
export function blockMean(picture, factor) {
  if (factor === 1) return picture;
  const out = blank(Math.floor(picture.height / factor), Math.floor(picture.width / factor));
  for (let y = 0; y < out.height * factor; y++) {
    const from = y * picture.width;
    const to = Math.floor(y / factor) * out.width;
    for (let x = 0; x < out.width; x++) {
      for (let shift = 0; shift < factor; shift++) out.data[to + x] += picture.data[from + x * factor + shift];
    }
  }
  return mapped(out, (sum) => divided(sum, factor * factor));
}

/** The picture at another size: area means to shrink, linear between middles to grow. */
export function resampled(picture, height, width) {
  const [down, across] = [weights(picture.height, height), weights(picture.width, width)];
  const rows = blank(height, picture.width);
  for (const [source, target, weight] of down.entries) {
    for (let x = 0; x < picture.width; x++) {
      rows.data[target * picture.width + x] += weight * picture.data[source * picture.width + x];
    }
  }
  const out = blank(height, width);
  for (const [source, target, weight] of across.entries) {
    for (let y = 0; y < height; y++) out.data[y * width + target] += weight * rows.data[y * picture.width + source];
  }
  return mapped(out, (sum) => divided(sum, down.total * across.total));
}

/** The whole-numbered weights above 0, as [source, target, weight]; those of each target come to `total`. */
function weights(source, target) {
  const entries = [];
  for (let to = 0; to < target; to++) {
    const middle = Math.min(Math.max((2 * to + 1) * source, target), (2 * source - 1) * target);
    // Source pixels that can have a weight: those around the target's.
    const first = Math.max(0, Math.floor((to * source) / target) - 1);
    const last = Math.min(source - 1, Math.ceil(((to + 1) * source) / target));
    for (let from = first; from <= last; from++) {
      const weight =
        target <= source
          ? Math.min((to + 1) * source, (from + 1) * target) - Math.max(to * source, from * target)
          : 2 * target - Math.abs(middle - (2 * from + 1) * target);
      if (weight > 0) entries.push([from, to, weight]);
    }
  }
  return { entries, total: entries.reduce((sum, [, to, weight]) => (to === 0 ? sum + weight : sum), 0) };
}

/** The rounded means over squares of `2 * radius + 1` pixels a side; the border's levels go on beyond it. */
export function uniformFilter(picture, radius) {
  const { height, width, data } = picture;
  const [across, out] = [blank(height, width), blank(height, width)];
  for (let y = 0; y < height; y++) slideSums(data, across.data, y * width, 1, width, radius);
  for (let x = 0; x < width; x++) slideSums(across.data, out.data, x, width, height, radius);
  return mapped(out, (sum) => divided(sum, (2 * radius + 1) ** 2));
}

/** Sums over `2 * radius + 1` neighbours along one line of `length` places, `step` apart from `start`. */
function slideSums(from, to, start, step, length, radius) {
  const at = (place) => from[start + step * Math.min(Math.max(place, 0), length - 1)];
  let sum = 0;
  for (let place = -radius; place <= radius; place++) sum += at(place);
  for (let place = 0; place < length; place++) {
    to[start + step * place] = sum;
    sum += at(place + radius + 1) - at(place - radius);
  }
}

/** The largest level within `reach` pixels along each axis; zero lies beyond the border. */
export function maximumFilter(picture, reach) {
  const { height, width, data } = picture;
  const [across, out] = [blank(height, width), blank(height, width)];
  for (let y = 0; y < height; y++) slideMost(data, across.data, y * width, 1, width, reach);
  for (let x = 0; x < width; x++) slideMost(across.data, out.data, x, width, height, reach);
  return out;
}

/** The smallest level within `reach` pixels along each axis; what lies beyond the border counts as larger. */
export function minimumFilter(picture, reach) {
  const most = picture.data.reduce((high, level) => Math.max(high, level));
  return mapped(maximumFilter(mapped(picture, (level) => most - level), reach), (level) => most - level);
}

/** The picture with rows and columns exchanged. */
export function turned({ height, width, data }) {
  return mapped(blank(width, height), (_, place) => data[(place % height) * width + Math.floor(place / height)]);
}

/** How far each of the mask's pixels lies from its edge, in sixteenths of a pixel; -8 outside. */
export function innerDistance(mask) {
  const { height, width } = mask;
  const outside = mapped(laid(mask, height + 2, width + 2, 1, 1), (is) => 1 - is);
  return mapped(cut(distance(outside), boxOf(1, height + 1, 1, width + 1)), (far) => far - SIXTEENTHS / 2);
}

/** The mean width of strokes: in one of width w the mean distance to the edge is w / 4. */
export function meanWidth(mask) {
  const depth = innerDistance(mask);
  let [sum, count] = [0, 0];
  mask.data.forEach((is, place) => {
    if (is) [sum, count] = [sum + depth.data[place], count + 1];
  });
  return (4 * sum) / (SIXTEENTHS * count);
}

function slideMost(from, to, start, step, length, reach) {
  for (let place = 0; place < length; place++) {
    let most = place < reach || place + reach >= length ? 0 : -Infinity;
    const last = Math.min(place + reach, length - 1);
    for (let near = Math.max(place - reach, 0); near <= last; near++) most = Math.max(most, from[start + step * near]);
    to[start + step * place] = most;
  }
}

/**
 * Each pixel's distance to the nearest one that is not 0, in sixteenths of a pixel.
 *
 * Exact Euclidean up to `REACH`, first along the columns, then along the rows; what is further counts as one more.
 */
export function distance({ height, width, data }) {
  const column = new Float64Array(height * width);
  for (let x = 0; x < width; x++) distancesAlong(data, column, x, width, height);
  const out = blank(height, width);
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < width; x++, place++) {
      let squared = column[place];
      for (let gap = 1; gap * gap < squared; gap++) {
        if (x >= gap) squared = Math.min(squared, column[place - gap] + gap * gap);
        if (x + gap < width) squared = Math.min(squared, column[place + gap] + gap * gap);
      }
      out.data[place] = rounded(SIXTEENTHS * Math.sqrt(squared));
    }
  }
  return out;
}

/** Squared distances along one line, up to `REACH`: down it, then up. */
function distancesAlong(from, to, start, step, length) {
  const squared = (gap) => Math.min(gap, REACH + 1) ** 2;
  for (let place = 0, gap = Infinity; place < length; place++) {
    gap = from[start + step * place] ? 0 : gap + 1;
    to[start + step * place] = squared(gap);
  }
  for (let place = length - 1, gap = Infinity; place >= 0; place--) {
    gap = from[start + step * place] ? 0 : gap + 1;
    to[start + step * place] = Math.min(to[start + step * place], squared(gap));
  }
}

/**
 * The flat places of the pixels that are not 0, and for each its 8-connected component.
 *
 * A component's number is the rank, among these pixels, of its first one.
 */
export function components({ height, width, data }) {
  const where = [];
  for (let place = 0; place < data.length; place++) if (data[place]) where.push(place);
  const number = new Int32Array(height * width).fill(-1);
  const label = new Int32Array(where.length);
  for (let one = 0; one < where.length; one++) {
    const place = where[one];
    const [isLeft, isRight] = [place % width === 0, place % width === width - 1];
    number[place] = label[one] = one;
    // Its neighbours before it; above the first row there are none.
    if (!isLeft) join(label, one, number[place - 1]);
    if (!isLeft) join(label, one, number[place - width - 1]);
    join(label, one, number[place - width]);
    if (!isRight) join(label, one, number[place - width + 1]);
  }
  return { where, label: label.map((_, one) => numberOf(label, one)) };
}

/** Give two pixels' components the smaller of their numbers; there may be no other. */
function join(label, one, other) {
  if (!(other >= 0)) return; // -1: no such pixel in a component; undefined: none at all
  const first = numberOf(label, one);
  const second = numberOf(label, other);
  label[Math.max(first, second)] = Math.min(first, second);
}

/** The number of a pixel's component; the way there is shortened for the next. */
function numberOf(label, one) {
  while (label[one] !== one) {
    label[one] = label[label[one]];
    one = label[one];
  }
  return one;
}
