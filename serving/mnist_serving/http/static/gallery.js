// Drawings to try: easy ones, hard ones, and some that are not digits.

import { make } from "./dom.js";
import { UNITS, drawStrokes, makeCanvas } from "./sheet.js";

const LINE = 8; // units

// The name, the strokes, and which digit they are meant to be.
const DRAWINGS = {
  "Easy": [
    ["two", "M28 32C32 14 66 12 68 34C69 52 40 64 28 82L74 80", "2"],
    ["three", "M30 24C44 12 68 18 66 34C64 46 50 48 46 48C60 48 72 56 70 68C66 88 36 88 28 74", "3"],
    ["five", "M68 18L38 18L34 46C52 38 72 48 70 66C66 88 38 88 28 76", "5"],
    ["eight", "M66 28C58 12 32 16 34 34C36 50 70 54 68 72C64 92 30 88 34 68C38 54 66 46 66 28", "8"],
  ],
  "Hard": [
    ["one with a long upstroke", "M18 70L60 12L60 90", "1"],
    ["three, underlined", "M34 14C44 6 66 10 64 26C62 36 50 38 46 38C60 38 70 46 66 58C62 74 38 74 30 62M14 88L86 88", "3"],
    ["two of dots", "M28 32v.1M32 20v.1M44 14v.1M58 16v.1M66 28v.1M64 42v.1M54 54v.1M44 66v.1M34 78v.1M48 80v.1M62 80v.1M75 80v.1", "2"],
    ["five, struck out", "M66 18L38 18L34 46C52 38 72 48 70 66C66 88 38 88 28 76M12 80L88 16", "5"],
  ],
  "Not digits": [
    ["letter A", "M24 84L50 16L76 84M34 60L66 60"],
    ["face", "M50 12C98 12 98 88 50 88C2 88 2 12 50 12M36 38L36 42M64 38L64 42M32 62C42 74 58 74 68 62"],
    ["scribble", "M16 60C24 10 40 10 36 50C32 90 52 90 54 50C56 10 72 10 68 50C64 90 80 90 86 40"],
    ["star", "M50 14L72 84L14 40L86 40L28 84L50 14"],
  ],
};

export const FIRST_DRAWING = DRAWINGS.Easy[0][1];

/** Add a button for each drawing to the wall; a click draws it on the sheet and brings the guess into view. */
export function hangGallery(sheet, wall, guess) {
  const draw = (strokes) => {
    sheet.add({ fresh: true, strokes });
    bringIntoView(guess);
  };
  for (const [title, drawings] of Object.entries(DRAWINGS)) {
    const group = make("div", "", { className: "group" });
    group.append(make("h2", title), ...drawings.map((drawing) => makeButton(draw, ...drawing)));
    wall.append(group);
  }
}

/** Scroll so that the element is the last thing in view, below the sheet; not at all if it is in view. */
function bringIntoView(element) {
  const { top, bottom } = element.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) element.scrollIntoView({ block: "end" });
}

function makeButton(draw, name, path, digit = "") {
  const strokes = [{ path: new Path2D(path), width: LINE }];
  const button = make("button", "", { type: "button", title: name, ariaLabel: `Draw: ${name}` });
  const thumbnail = makeCanvas(UNITS, UNITS);
  drawStrokes(thumbnail.getContext("2d"), strokes);
  button.dataset.digit = digit;
  button.append(thumbnail);
  button.addEventListener("click", () => draw(strokes));
  return button;
}
