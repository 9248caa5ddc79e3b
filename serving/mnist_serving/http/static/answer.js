// The answer beside the sheet: the guess, what the model saw, the probabilities, and what is in the way of an answer.

import { MNIST, find, make, percent } from "./dom.js";

const QUIET = 700; // milliseconds without a change before the guess is spoken
const NO_DIGIT = "no digit"; // the reason of a picture that looks like none of the classes
const SURE = "Probability of each class";
const CLOSE = "Probability of each class, too close for an answer";
const UNLIKE = "What it would be, if it were one";

let thing = "A digit"; // what the model knows

/** Show what the model is; `draw.js` says what the properties mean. */
export function showModel({ labels, about, links = {}, shape = MNIST, centred = true }) {
  document.title = find("title").textContent = centred ? "Draw a digit" : "Show a picture";
  thing = centred ? "A digit" : "One of these";
  find("gallery").hidden = !centred;
  find("invitation").replaceChildren(...(centred ? INVITE_DRAWINGS : INVITE_PICTURES));
  const [, height, width] = shape;
  Object.assign(find("seen"), { width, height });
  find("about").textContent = about;
  find("links").replaceChildren(...Object.entries(links).map(([text, address]) => make("a", text, { href: address })));
  const rows = labels.map((label) => {
    const row = make("tr", "");
    row.append(make("th", label, { scope: "row" }), make("td", "", { className: "bar" }), make("td", ""));
    return row;
  });
  find("bars").tBodies[0].replaceChildren(...rows);
}

const INVITE_DRAWINGS = ["Draw here", make("span", ", or drop a picture", { className: "desk" })];
const INVITE_PICTURES = [
  make("span", "Drop a picture here", { className: "desk" }),
  make("span", "Choose a picture", { className: "touch" }),
  ", like those the model was trained on", // a drawing may not be
];

/** Show a reply; a quiet one is not read out. */
export function showGuess({ label, probability, probabilities, digit, abstained, reason, seen }, { quiet }) {
  showTrouble("");
  const unlike = abstained && reason === NO_DIGIT;
  const doubt = unlike ? `Probably not ${thing.toLowerCase()}.` : `Perhaps ${reason ?? label}.`;
  showAnswer(abstained ? "not sure" : label, abstained ? doubt : percent(probability), label);
  find("whether").textContent = digit === undefined ? "" : `${thing} at all: ${percent(digit)}`;
  find("answer").classList.toggle("unsure", abstained);
  find("meaning").textContent = unlike ? UNLIKE : abstained ? CLOSE : SURE;
  showBars(probabilities);
  showSeen(seen);
  if (quiet) speak("");
}

/** Show no guess, and why: a comment, or a notice of what is wrong. */
export function showNothing(comment, notice = "") {
  showTrouble(notice);
  showAnswer("", comment);
  find("whether").textContent = "";
  find("answer").classList.remove("unsure");
  find("meaning").textContent = SURE;
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

/** Paint the levels of what the model saw; without any the canvas is transparent. */
function showSeen(levels) {
  const { width, height } = find("seen");
  const image = new ImageData(width, height);
  for (let place = 0; place < width * height && levels.length > 0; place += 1) {
    const red = levels[place];
    const green = levels[place + width * height] ?? red; // a grey image has only one channel
    const blue = levels[place + 2 * width * height] ?? red;
    image.data.set([red, green, blue, 255], 4 * place);
  }
  find("seen").getContext("2d").putImageData(image, 0, 0);
}

/** Say something that does not concern the answer. */
export function showNotice(message) {
  if (find("notice").textContent !== message) find("notice").textContent = message;
}

/** Say why the answer does not belong to the drawing; an empty reason if it does. */
export function showTrouble(reason) {
  showNotice(reason);
  find("answer").classList.toggle("stale", reason !== "");
  if (reason && !find("answer").dataset.label) find("comment").textContent = ""; // "nothing is drawn" may be wrong now
}

let speaking = 0;

/** Have a screen reader say the text, once the drawing rests. */
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    if (find("spoken").textContent !== text) find("spoken").textContent = text;
  }, QUIET);
}
