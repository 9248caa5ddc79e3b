// The drawing page: a sheet, the guess, the probabilities, what the model saw, drawings to try. It sends no requests:
// `start` gets a guesser that asks a service (service.js) or runs the model itself:
//
//   open()         -> {labels: string[], about: string, links?: {text: address}, shape?, centred?}
//   guess(canvas)  -> {label, probability, probabilities: number[], abstained, seen: number[]}
//
// Both may throw: after an Error whose `retry` is true the page asks again later; the message of any other is shown.
// `shape` is [channels, height, width] of the image that the model sees, and `seen` its levels, row by row; a colour
// image has all of its red first. `centred` is false if the model is not one of single digits.

import { hangGallery } from "./gallery.js";
import { drawWithKeys, drawWithPointer, takePictures } from "./input.js";
import { Sheet } from "./sheet.js";

const FIRST_PAUSE = 500; // milliseconds before a question is asked again; twice as long each time,
const LONGEST_PAUSE = 8000; // up to this
const SPACING = 50; // milliseconds between an answer and the next question while the pen is down
const QUIET = 700; // milliseconds without a change before the guess is spoken
const MNIST = [1, 28, 28]; // the shape, if the guesser does not give it
const WANTED = "Drop a picture here, like those the model was trained on"; // a drawing may not be
const NO_PICTURE = "The browser cannot read this file as a picture.";

const find = (id) => document.getElementById(id);
const wait = (time) => new Promise((done) => setTimeout(done, time));
const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 }); // slow to make, so once
const percent = (share) => PERCENT.format(share);

/** Start the page with a guesser. */
export function start(guesser) {
  const sheet = new Sheet(find("paper"));
  sheet.changed = makeAsker(guesser, sheet);
  drawWithPointer(sheet);
  drawWithKeys(sheet, find("pen"));
  takePictures(sheet, find("file"), () => showNotice(NO_PICTURE)); // the answer still belongs to the drawing
  listenToTools(sheet);
  hangGallery(sheet, find("gallery"));
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
    else if (event.key === "Delete" || event.key === "Escape") sheet.clear();
    else return;
    event.preventDefault();
  });
}

/** Return the function to call at every change: it asks one question at a time, and the last drawing is answered. */
function makeAsker(guesser, sheet) {
  let changes = 0;
  let running = false;
  let opened = false;
  let wake = () => {};
  const rest = () => new Promise((done) => setTimeout((wake = done), SPACING));
  const ask = async () => {
    if (!opened) showModel(await guesser.open());
    opened = true;
    if (sheet.blank) return () => showNothing("Nothing is drawn yet.");
    const reply = await guesser.guess(sheet.drawing());
    return () => showGuess(reply);
  };
  const askUntilAnswered = async () => {
    let pause = FIRST_PAUSE;
    for (let answered = 0; answered !== changes; ) {
      const asked = changes;
      try {
        const show = await ask();
        if (asked === changes || sheet.penDown) show();
      } catch (error) {
        if (error.retry) {
          showStale(error.message);
          opened = false; // the service may return with another model
          await wait(pause);
          pause = Math.min(2 * pause, LONGEST_PAUSE);
          continue;
        }
        // While the pen is down there may be too little ink yet.
        if (asked === changes && !sheet.penDown) showNothing("", error.message);
      }
      pause = FIRST_PAUSE;
      answered = asked;
      if (answered !== changes && sheet.penDown) await rest();
    }
  };
  return async () => {
    changes += 1;
    if (!sheet.penDown) wake(); // the end of a stroke is asked about at once
    if (running) return;
    running = true;
    find("bars").ariaBusy = "true";
    await askUntilAnswered();
    find("bars").ariaBusy = "false";
    running = false;
  };
}

function showModel({ labels, about, links = {}, shape = MNIST, centred = true }) {
  document.title = find("title").textContent = centred ? "Draw a digit" : "Show a picture";
  find("gallery").hidden = !centred;
  find("invitation").textContent = centred ? "Draw here, or drop a picture" : WANTED;
  const [, height, width] = shape;
  Object.assign(find("seen"), { width, height });
  find("about").textContent = about;
  find("links").replaceChildren(...Object.entries(links).map(([text, address]) => make("a", text, { href: address })));
  const rows = labels.map((label) => {
    const row = make("tr", "", {});
    row.append(make("th", label, { scope: "row" }), make("td", "", { className: "bar" }), make("td", "", {}));
    return row;
  });
  find("bars").tBodies[0].replaceChildren(...rows);
}

function make(tag, textContent, properties) {
  return Object.assign(document.createElement(tag), { textContent, ...properties });
}

function showGuess({ label, probability, probabilities, abstained, seen }) {
  showStale("");
  showAnswer(abstained ? "not sure" : label, abstained ? `Perhaps ${label}` : percent(probability), label);
  showBars(probabilities);
  showSeen(seen);
}

function showNothing(comment, notice = "") {
  showStale(notice);
  showAnswer("", comment);
  showBars([]);
  showSeen([]);
}

function showAnswer(guess, comment, label = "") {
  find("guess").textContent = guess;
  find("guess").classList.toggle("words", guess.length > 2);
  find("comment").textContent = comment;
  find("answer").dataset.label = label;
  speak(label && `${guess}, ${comment}`);
}

function showBars(probabilities) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  [...find("bars").rows].forEach((row, place) => {
    const share = probabilities[place] ?? 0;
    row.classList.toggle("best", place === best);
    row.cells[1].style.setProperty("--share", share);
    row.cells[2].textContent = probabilities.length ? percent(share) : "";
  });
}

function showSeen(levels) {
  const { width, height } = find("seen");
  const image = new ImageData(width, height);
  for (let place = 0; place < width * height; place += 1) {
    const red = levels[place] ?? 0;
    const green = levels[place + width * height] ?? red; // a grey image has only one channel
    const blue = levels[place + 2 * width * height] ?? red;
    image.data.set([red, green, blue, 255], 4 * place);
  }
  find("seen").getContext("2d").putImageData(image, 0, 0);
}

function showNotice(message) {
  if (find("notice").textContent !== message) find("notice").textContent = message;
}

/** Say why the answer does not belong to the drawing; an empty reason if it does. */
function showStale(reason) {
  showNotice(reason);
  find("answer").classList.toggle("stale", reason !== "");
}

let speaking = 0;

/** Have a screen reader say the text, once the drawing rests. */
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    if (find("spoken").textContent !== text) find("spoken").textContent = text;
  }, QUIET);
}
