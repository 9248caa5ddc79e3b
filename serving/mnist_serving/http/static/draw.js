// The drawing page: a sheet, the answer, drawings to try, programs to copy, pictures to keep. It sends no requests:
// `start` gets a guesser that asks a service (service.js) or runs the model itself:
//
//   open()         -> {labels: string[], about: string, links?: {text: address}, shape?, centred?, numbers?,
//                    predict?}
//   guess(canvas)  -> {label, probability, probabilities: number[], digit?, abstained, reason?, seen: number[]}
//                     or, of several digits, {label, digits: {label, probability, seen, box}[], abstained, reason?}
//
// Both may throw: after an Error whose `retry` is true the page asks again later; the message of any other is shown.
// `shape` is [channels, height, width] of the image that the model sees, and `seen` its levels, row by row; a colour
// image has all of its red first. `centred` is false if the model is not one of single digits, `numbers` true if several
// digits are read too. `predict` is the address of the service's call. `digit` is the probability that the picture is
// one of the classes at all; `reason` says why the model abstains: "no digit", or its candidates. A `box` is [left, top,
// right, bottom], in shares of the canvas.

import { showGuess, showModel, showNothing, showNotice } from "./answer.js";
import { makeAsker } from "./ask.js";
import { Boxes } from "./boxes.js";
import { find } from "./dom.js";
import { playExample } from "./example.js";
import { hangGallery } from "./gallery.js";
import { drawWithKeys, drawWithPointer, takePictures } from "./input.js";
import { Keeper } from "./keep.js";
import { Programs } from "./programs.js";
import { Sheet, canReadCanvas } from "./sheet.js";

const CLEARS = ["Delete", "Backspace", "Escape"]; // keys; on a Mac, "delete" is Backspace
const NO_PICTURE = "The browser cannot read this file as a picture: take a PNG or a JPEG.";
const UNREADABLE =
  "This browser does not let pages read what is drawn on them, to protect you against fingerprinting. Allow it for " +
  "this site (in Firefox, the picture icon beside the address; in other browsers, the shield), then draw again.";

/** Start the page with a guesser. */
export function start(guesser) {
  const sheet = new Sheet(find("paper"));
  const ask = makeAsker(sheet, makeTalk(guesser, sheet));
  sheet.changed = () => {
    showNotice("");
    ask();
  };
  drawWithPointer(sheet);
  drawWithKeys(sheet, find("pen"));
  takePictures(sheet, find("file"), () => showNotice(NO_PICTURE)); // the answer still belongs to the drawing
  listenToTools(sheet);
  hangGallery(sheet, find("gallery"), find("guess"));
  find("comment").textContent = "Loading…";
  sheet.changed();
}

function listenToTools(sheet) {
  find("undo").addEventListener("click", () => sheet.undo());
  find("clear").addEventListener("click", () => sheet.clear());
  const takeWidth = () => (sheet.width = Number(find("width").value));
  find("width").addEventListener("input", takeWidth);
  takeWidth(); // a browser may have kept it from the last visit
  document.addEventListener("keydown", (event) => {
    const undoes = event.key.toLowerCase() === "z" && !event.shiftKey; // with Caps Lock it is "Z"
    if ((event.ctrlKey || event.metaKey) && undoes) sheet.undo();
    else if (CLEARS.includes(event.key)) sheet.clear();
    else return;
    event.preventDefault();
  });
}

/** Return how the asker asks about the sheet, and what it does with an answer or an error. */
function makeTalk(guesser, sheet) {
  const users = [new Boxes(sheet), new Keeper(), new Programs()]; // of an answer, besides the reader
  const use = (reply, drawing) => users.forEach((user) => user.take(reply, drawing));
  let opened = false;
  let greeted = false;

  const open = async () => {
    const model = await guesser.open();
    showModel(model);
    users.forEach((user) => user.open(model));
    if (!greeted && sheet.blank && (model.centred ?? true)) playExample(sheet);
    opened = greeted = true;
  };

  const refuse = (error) => {
    use(null);
    showNothing("", error.message);
  };

  return {
    async ask() {
      if (!opened) await open();
      if (sheet.blank) return () => (use(null), showNothing("Nothing is drawn yet."));
      if (!canReadCanvas()) throw new Error(UNREADABLE);
      const drawing = sheet.drawing();
      const quiet = sheet.example;
      const reply = await guesser.guess(drawing);
      return () => (showGuess(reply, { quiet }), use(reply, drawing)); // the programs may take what is seen
    },

    refuse,

    wait(error) {
      opened = false; // the service may return with another model
      refuse(error);
    },
  };
}
