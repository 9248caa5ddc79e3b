// Turn a picture of one digit into what MNIST looks like: the same bytes as `canonicalize` of the package.
//
// This and the modules that it imports are those of `serving/mnist_serving/preprocess` in JavaScript, function by
// function; why a step is as it is stands there.
// `tests/test_web_canonicalize.py` compares the two. Change both or neither.

import { QUARTERS, middlePoints, relief } from "./background.js";
import { mainFigure, partsOf } from "./figures.js";
import { INK_RANK, LEAST_CONTRAST, LEAST_EXTENT, findInk } from "./locate.js";
import { DIGIT_SIDE, HALF, evenPen } from "./stroke_width.js";
import {
  blockMean, box, boxOf, ceilDiv, chosen, cut, divided, maximumFilter, laid, mapped, quantile, resampled, uniformFilter,
} from "./ndimage.js";

export const SIDE = 28; // of MNIST's picture
const CENTRE = 14; // its digits' centre of mass
export const LEAST_SIDE = 8; // pixels
const LONGEST = 1000; // times the shorter side

// Sizes of the copies worked on, in pixels along the longer side.
const [FINE_SIDE, COARSE_SIDE, WORK_SIDE] = [1024, 240, 80];
const SMALL_SIDE = 56; // what is smaller gets enlarged first

const NEAR = 2; // coarse pixels beyond the ink that are still looked at: beyond may lie the edge of the page
const [SHARPEN_RADIUS, SHARPEN] = [8, 2]; // working pixels; times the difference from the blurred
const EDGE = 63; // levels above it belong to the digit's box
const SOFT = 2; // working pixels that the strokes' edges are blurred by: MNIST's are softer than ours

const BLANK =
  "no digit found in the picture: nothing larger than a speck stands out from the page; " +
  "send one digit, clearly darker or lighter than the page, at least a fiftieth of its size";

const several = (figures) => `there are ${figures} figures in the picture: send one digit at a time`;

/** What is wrong with the picture; its message is for people. */
export class PictureError extends Error {}

/**
 * Return a picture of one digit as MNIST draws it: white on black, centred, 28x28.
 *
 * @param {Uint8Array} grey `width * height` levels, row by row, ink darker or lighter than the page
 * @param {number} width at least 8
 * @param {number} height at least 8
 * @returns {Uint8Array} 784 levels
 * @throws {PictureError} too small, or no ink stands out from the page
 */
export function canonicalize(grey, width, height) {
  check(grey, width, height);
  const picture = { height, width, data: new Float64Array(grey) };
  if (isCanonical(picture)) return grey.slice();
  const small = fine(picture);
  const factor = Math.min(ceilDiv(Math.max(small.height, small.width), COARSE_SIDE), small.height, small.width);
  const coarse = blockMean(small, factor);
  const found = findInk(coarse);
  if (box(found.mask).longer < LEAST_EXTENT) throw new PictureError(BLANK);
  if (found.figures > 1) throw new PictureError(several(found.figures));
  const ink = found.grainy ? cutOut(uniformFilter(coarse, 1), 1, found) : cutOut(small, factor, found);
  return Uint8Array.from(place(evenPen(crisp(ink))).data);
}

function check(grey, width, height) {
  if (!ArrayBuffer.isView(grey) || grey.BYTES_PER_ELEMENT !== 1 || grey.length !== width * height) {
    throw new PictureError("canonicalize wants a Uint8Array of width x height grey levels");
  }
  if (Math.min(width, height) < LEAST_SIDE) {
    throw new PictureError(
      `canonicalize wants grey levels 0-255 as uint8 [height, width], not uint8 [${height}, ${width}]: ` +
        `each side must be at least ${LEAST_SIDE} pixels`,
    );
  }
  if (Math.max(width, height) > LONGEST * Math.min(width, height)) throw new PictureError(BLANK);
}

/** Whether the picture is what `centred` makes of the digit in it. */
function isCanonical(picture) {
  const { height, width, data } = picture;
  if (height !== SIDE || width !== SIDE || !data.some((level) => level > HALF)) return false;
  const digit = box(picture);
  if (digit.longer !== DIGIT_SIDE) return false;
  return centred(cut(picture, digit)).data.every((level, place) => level === data[place]);
}

/** The picture at a workable size: the longer side 56 to 1024 pixels. */
function fine(picture) {
  const { height, width } = picture;
  const longer = Math.max(height, width);
  if (longer >= SMALL_SIDE) return blockMean(picture, Math.min(ceilDiv(longer, FINE_SIDE), height, width));
  const times = ceilDiv(SMALL_SIDE, longer);
  return resampled(picture, height * times, width * times);
}

/** The ink with a margin, in quarter levels, about 80 pixels long, and where the digit may lie in it. */
function cutOut(small, factor, { mask, sign, surface }) {
  const { height, width } = mask;
  const { top, bottom, left, right, longer } = box(mask);
  const margin = 2 + Math.floor(longer / 8);
  const part = boxOf(
    Math.max(0, top - margin),
    Math.min(height, bottom + margin),
    Math.max(0, left - margin),
    Math.min(width, right + margin),
  );
  const [rows, columns] = [part.height, part.width].map((length) => divided(length * WORK_SIDE, longer));
  const picture = resampled(cut(small, part, factor), rows, columns);
  const y = middlePoints(part.height, rows).map((middle) => 2 * part.top - height + middle);
  const x = middlePoints(part.width, columns).map((middle) => 2 * part.left - width + middle);
  const near = resampled(maximumFilter(cut(mask, part), NEAR), rows, columns);
  return { ink: mapped(relief(picture, surface, y, x), (level) => sign * level), near };
}

/** The ink sharpened and cleaned of specks, 0 or 255 but for its softest edges. */
function crisp({ ink: soft, near }) {
  const blurred = uniformFilter(uniformFilter(soft, SHARPEN_RADIUS), SHARPEN_RADIUS);
  const ink = mapped(soft, (level, at) => (near.data[at] > 0 ? level + SHARPEN * (level - blurred.data[at]) : 0));
  const strong = chosen(ink.data, (level) => level > LEAST_CONTRAST * QUARTERS);
  if (!strong.length) throw new PictureError(BLANK);
  const half = Math.floor(quantile(strong, INK_RANK) / 2);
  const full = quantile(chosen(strong, (level) => level > half), 0.5);
  const parts = partsOf(ink, mapped(ink, (level) => (level > Math.floor((2 * full) / 5) ? 1 : 0)));
  const digit = maximumFilter(mainFigure(parts), 2);
  // From 20 % of full ink to 60 %, black to white.
  const level = (value) => Math.min(Math.max(Math.floor((255 * (5 * value - full)) / (2 * full)), 0), 255);
  return mapped(ink, (value, at) => level(value) * digit.data[at]);
}

/** The ink fitted into 20x20, both sides shrunk by the same factor, and centred in 28x28. */
function place(redrawn) {
  const ink = uniformFilter(redrawn, SOFT);
  const digit = box(mapped(ink, (level) => (level > EDGE ? 1 : 0)));
  if (digit.longer === 0) throw new PictureError(BLANK);
  const [top, left] = [digit.height, digit.width].map((length) => Math.floor((digit.longer - length) / 2));
  const square = laid(cut(ink, digit), digit.longer, digit.longer, top, left);
  const small = resampled(square, DIGIT_SIDE, DIGIT_SIDE);
  return centred(cut(small, box(small)));
}

/** 28x28 with the digit moved by whole pixels, its centre of mass on pixel 14, 14. */
function centred(digit) {
  const { height, width, data } = digit;
  let [mass, y, x] = [0, 0, 0];
  data.forEach((level, at) => {
    mass += level;
    y += level * Math.floor(at / width);
    x += level * (at % width);
  });
  const top = Math.min(Math.max(CENTRE - divided(y, mass), 0), SIDE - height);
  const left = Math.min(Math.max(CENTRE - divided(x, mass), 0), SIDE - width);
  return laid(digit, SIDE, SIDE, top, left);
}
