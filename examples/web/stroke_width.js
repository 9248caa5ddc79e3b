// The pen: the width of a digit's strokes, measured and brought into MNIST's range; what `stroke_width.py` does.

import { REACH, SIXTEENTHS, box, distance, maximumFilter, laid, mapped, rounded, uniformFilter } from "./ndimage.js";

export const DIGIT_SIDE = 20; // longer side of MNIST's digits, in MNIST pixels
const [PEN_LEAST, PEN_MOST] = [1.9, 2.8]; // width of strokes left alone, in MNIST pixels
const CORE = 4; // half-width that thinning leaves everywhere, in working pixels
export const HALF = 127; // levels above it are inside a stroke

/**
 * The ink, 0-255 and padded, with strokes brought to between `PEN_LEAST` and `PEN_MOST` MNIST pixels' width.
 *
 * In a stroke of width w the mean distance to its edge is w / 4. Moving each edge outwards by `delta` also makes the
 * digit larger: (width + 2 delta) / (longer + 2 delta) = target / 20 gives `delta`.
 */
export function evenPen(digit) {
  const ink = laid(digit, digit.height + 2 * REACH, digit.width + 2 * REACH, REACH, REACH);
  const inside = mapped(ink, (level) => (level > HALF ? 1 : 0));
  const depth = fromEdge(mapped(inside, (is) => 1 - is), inside);
  const delta = edgeShift(depth, inside);
  if (delta === 0) return ink;
  const away = fromEdge(inside, mapped(inside, (is) => 1 - is));
  const outwards = mapped(inside, (is, place) => (is ? -depth.data[place] : away.data[place]) / SIXTEENTHS);
  const redrawn = (shift) =>
    mapped(outwards, (far, place) => rounded(255 * Math.min(Math.max(0.5 + shift(place) - far, 0), 1)));
  if (delta > 0) return redrawn(() => delta);
  // A thin part of a thick digit stays: no part loses more than what it has beyond CORE.
  const halfWidth = uniformFilter(maximumFilter(depth, Math.trunc(CORE - delta) + 1), 2);
  return redrawn((place) => Math.max(delta, -Math.max(0, halfWidth.data[place] / SIXTEENTHS - CORE)));
}

/** The distance to the other side's nearest edge, in sixteenths; 0 off `where`. */
function fromEdge(other, where) {
  const far = distance(other);
  return mapped(where, (is, place) => (is ? far.data[place] - SIXTEENTHS / 2 : 0));
}

/** How far, in working pixels, each edge has to move outwards. */
function edgeShift(depth, inside) {
  const sum = (picture) => picture.data.reduce((total, level) => total + level, 0);
  const { longer } = box(inside);
  const width = (4 * sum(depth)) / (SIXTEENTHS * sum(inside));
  const target = Math.min(Math.max((DIGIT_SIDE * width) / longer, PEN_LEAST), PEN_MOST);
  return (target * longer - DIGIT_SIDE * width) / (2 * (DIGIT_SIDE - target));
}
