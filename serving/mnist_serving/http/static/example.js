// The page's first drawing, which it makes by itself to show what it can do. Whatever the user draws removes it.

import { FIRST_DRAWING } from "./gallery.js";

const DURATION = 900; // milliseconds
const SPAN = 2; // units between two points of the stroke
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/** Draw the first drawing of the gallery on a blank sheet, stroke by stroke, or at once for who prefers less motion. */
export function playExample(sheet) {
  const points = listPoints(FIRST_DRAWING);
  const stroke = sheet.begin(points[0]);
  sheet.example = true;
  const begun = performance.now();
  let drawn = 1;
  const go = (now) => {
    if (!sheet.example) return;
    const share = STILL.matches ? 1 : Math.min(1, Math.max(0, now - begun) / DURATION);
    const reached = Math.ceil(share * points.length);
    sheet.extend(stroke, points.slice(drawn, reached));
    drawn = reached;
    if (drawn < points.length) requestAnimationFrame(go);
    else sheet.end(stroke);
  };
  go(begun);
}

/** Return points along an SVG path of one line. */
function listPoints(path) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  const count = Math.ceil(line.getTotalLength() / SPAN);
  return Array.from({ length: count + 1 }, (_, place) => {
    const { x, y } = line.getPointAtLength(place * SPAN);
    return [x, y];
  });
}
