// Where the digits of a number are, as boxes over the sheet.

import { find, make } from "./dom.js";

export class Boxes {
  constructor(sheet) {
    this.sheet = sheet;
  }

  open() {}

  /** Take the reply that is shown, or null. */
  take(reply) {
    const { left, top, width, height } = this.sheet.frame;
    const boxes = (reply?.digits ?? []).map(({ box }) => {
      const mark = make("div", "", { className: "box" });
      const place = { left: left + box[0] * width, top: top + box[1] * height };
      const size = { width: (box[2] - box[0]) * width, height: (box[3] - box[1]) * height };
      for (const [side, share] of Object.entries({ ...place, ...size })) mark.style[side] = `${100 * share}%`;
      return mark;
    });
    find("boxes").replaceChildren(...boxes);
  }
}
