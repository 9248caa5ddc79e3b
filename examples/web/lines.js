// Ruled lines, frames and straight edges in a mask of ink; what `lines.py` does, and its reasons are there.

import { blank, mapped, maximumFilter, meanWidth, minimumFilter, turned } from "./ndimage.js";

const [COVERED, END] = [0.85, 0.05]; // of its length: how much of a line is ink, and how near to each end there is ink
const FRAME = 0.4; // of the picture's side: so far apart, two lines are a frame's, and may end before the border
const BORDER = 2; // pixels from the border: where any other line ends
const [RIM, RIM_COVERED] = [0.12, 0.3]; // of the picture's side: shorter lines count so near to the border
const THIN = 10; // times a line's width: less than the picture's shorter side
const [STEEPEST, SLOPE_UNIT] = [8, 96]; // pixels down for each 96 along
const CROSSED = 3; // pixels beyond a line's middle where a stroke goes on

/** The ink on straight lines across the picture; with `nearRim` also on shorter ones along its border. */
export function straightLines(ink, nearRim = false) {
  const down = turned(alongRows(turned(ink), nearRim));
  const lines = mapped(alongRows(ink, nearRim), (is, place) => is || down.data[place]);
  const thick = lines.data.some(Boolean) && THIN * meanWidth(ink) > Math.min(ink.height, ink.width);
  return thick ? blank(ink.height, ink.width) : lines;
}

/** The ink without the lines; strokes that cross them stay whole. */
export function without(ink, lines) {
  const rest = mapped(ink, (is, place) => (is && !lines.data[place] ? 1 : 0));
  const closed = minimumFilter(maximumFilter(rest, CROSSED), CROSSED);
  return mapped(rest, (is, place) => (is || (lines.data[place] && closed.data[place]) ? 1 : 0));
}

/** The ink on lines that run along the rows, sloping or not. */
function alongRows(ink, nearRim) {
  const { height, width } = ink;
  const end = Math.floor(END * width) + 1;
  const lines = blank(height, width);
  if (!nearRim && !(inkBetween(ink, 0, end) && inkBetween(ink, width - end, width))) return lines;
  const [points, thick] = [placesOf(ink), placesOf(thickened(ink))];
  const rim = Math.floor(RIM * height) + 1;
  const isOuter = (y) => y < rim || y >= height - rim;
  for (let slope = -STEEPEST; slope <= STEEPEST; slope++) {
    const sheared = ([y, x]) => y + Math.floor((slope * x) / SLOPE_UNIT) - Math.floor((-STEEPEST * width) / SLOPE_UNIT) + 1;
    const count = (wanted) => counted(thick, sheared, wanted, height, width);
    const covered = coveredRows(count, height, width);
    const long = nearRim ? count(([y]) => isOuter(y)).map((ones) => (ones >= RIM_COVERED * width ? 1 : 0)) : [];
    for (const point of points) {
      const row = sheared(point);
      if (covered[row] || (long[row] && isOuter(point[0]))) lines.data[point[0] * width + point[1]] = 1;
    }
  }
  return lines;
}

/** Which rows of a sheared mask are lines. */
function coveredRows(count, height, width) {
  const end = Math.floor(END * width) + 1;
  const [first, last] = [count(([, x]) => x < end), count(([, x]) => x >= width - end)];
  const covered = count(() => true).map((ones, row) => (ones >= COVERED * width && first[row] && last[row] ? 1 : 0));
  const [top, bottom] = [covered.indexOf(1), covered.lastIndexOf(1)];
  if (top < 0 || bottom - top >= FRAME * height) return covered;
  const [left, right] = [count(([, x]) => x < BORDER), count(([, x]) => x >= width - BORDER)];
  return covered.map((is, row) => (is && left[row] && right[row] ? 1 : 0));
}

/** How many of the wanted places each row of a sheared mask has. */
function counted(places, sheared, wanted, height, width) {
  const count = new Float64Array(height + 2 * (Math.floor((STEEPEST * width) / SLOPE_UNIT) + 2));
  for (const place of places) if (wanted(place)) count[sheared(place)]++;
  return count;
}

function inkBetween({ height, width, data }, left, right) {
  for (let y = 0; y < height; y++) for (let x = Math.max(left, 0); x < right; x++) if (data[y * width + x]) return true;
  return false;
}

/** The mask with the pixels above and below each of its own. */
function thickened({ height, width, data }) {
  return mapped(blank(height, width), (_, place) => (data[place - width] || data[place] || data[place + width] ? 1 : 0));
}

/** The row and the column of each pixel that is not 0. */
function placesOf({ width, data }) {
  const places = [];
  data.forEach((is, place) => is && places.push([Math.floor(place / width), place % width]));
  return places;
}
