// The answer beside the sheet: the guess, what the model saw, the probabilities, and what is in the way of an answer.

import { MNIST, find, make, percent } from "./dom.js";

const QUIET = 700; // milliseconds without a change before the guess is spoken
const NO_DIGIT = "no digit"; // the reason of a picture that looks like none of the classes
const SURE = "Probability of each class";
const CLOSE = "Probability of each class, too close for an answer";
const NUMBER = "Probability of each digit";
const UNLIKE = "What it would be, if it were one";

let thing = "A digit"; // what the model knows
let classes = []; // their names
let size = MNIST; // of the image that it sees

/** Show what the model is; `draw.js` says what the properties mean. */
export function showModel({ labels, about, links = {}, shape = MNIST, centred = true, numbers = false }) {
  document.title = find("title").textContent = centred ? "Draw a digit" : "Show a picture";
  thing = centred ? "A digit" : "One of these";
  find("gallery").hidden = !centred;
  const drawings = [numbers ? "Draw a digit or a number" : "Draw a digit", OR_DROP];
  find("invitation").replaceChildren(...(centred ? drawings : INVITE_PICTURES));
  size = shape;
  find("about").textContent = about;
  find("links").replaceChildren(...Object.entries(links).map(([text, address]) => make("a", text, { href: address })));
  classes = labels;
  showBars(classes, []);
}

const OR_DROP = make("span", ", or drop a picture", { className: "desk" });
const INVITE_PICTURES = [
  make("span", "Drop a picture here", { className: "desk" }),
  make("span", "Choose a picture", { className: "touch" }),
  ", like those the model was trained on", // a drawing may not be
];

/** Show a reply; a quiet one is not read out. */
export function showGuess(reply, { quiet }) {
  tell({ trouble: "" });
  find("answer").classList.toggle("unsure", reply.abstained);
  if (reply.digits) showNumber(reply);
  else showClass(reply);
  if (quiet) speak("");
}

function showClass({ label, probability, probabilities, digit, abstained, reason, seen }) {
  const unlike = abstained && reason === NO_DIGIT;
  const doubt = unlike ? `Probably not ${thing.toLowerCase()}.` : `Perhaps ${reason ?? label}.`;
  showAnswer(abstained ? "not sure" : label, abstained ? doubt : percent(probability), label);
  find("whether").textContent = digit === undefined ? "" : `${thing} at all: ${percent(digit)}`;
  find("meaning").textContent = unlike ? UNLIKE : abstained ? CLOSE : SURE;
  showBars(classes, probabilities, probabilities.indexOf(Math.max(...probabilities)));
  showSeen([seen]);
}

function showNumber({ label, digits, abstained, reason }) {
  const each = digits.map((digit) => `${digit.label} ${percent(digit.probability)}`).join(", ");
  showAnswer(abstained ? "not sure" : label, abstained ? `Perhaps ${label} (${reason}).` : each, label);
  find("whether").textContent = "";
  find("meaning").textContent = NUMBER;
  showBars(digits.map((digit) => digit.label), digits.map((digit) => digit.probability));
  showSeen(digits.map((digit) => digit.seen));
}

/** Show no guess, and why: a comment, or what is wrong. */
export function showNothing(comment, trouble = "") {
  tell({ trouble });
  showAnswer("", comment);
  find("whether").textContent = "";
  find("answer").classList.remove("unsure");
  find("meaning").textContent = SURE;
  showBars(classes, []);
  showSeen([]);
}

function showAnswer(guess, comment, label = "") {
  find("guess").textContent = guess;
  find("guess").classList.toggle("words", guess.length > 2);
  find("comment").textContent = comment;
  speak(label && `${guess}, ${comment}`);
}

/** Show a bar for each name; without shares the bars are empty. */
function showBars(names, shares, best = -1) {
  const body = find("bars").tBodies[0];
  if (names.join("\n") !== [...body.rows].map((row) => row.cells[0].textContent).join("\n")) {
    body.replaceChildren(...names.map(makeRow));
  }
  [...body.rows].forEach((row, place) => {
    const share = shares[place] ?? 0;
    row.classList.toggle("best", place === best);
    row.cells[1].style.setProperty("--share", share);
    row.cells[2].textContent = shares.length ? percent(share) : "";
  });
}

function makeRow(name) {
  const row = make("tr", "");
  row.append(make("th", name, { scope: "row" }), make("td", "", { className: "bar" }), make("td", ""));
  return row;
}

/** Paint pictures side by side, each the levels of what the model saw. */
function showSeen(pictures) {
  const [, height, width] = size;
  const canvas = Object.assign(find("seen"), { width: width * Math.max(1, pictures.length), height }); // and transparent
  const context = canvas.getContext("2d");
  pictures.forEach((levels, place) => context.putImageData(paint(levels, width, height), place * width, 0));
}

function paint(levels, width, height) {
  const image = new ImageData(width, height);
  for (let place = 0; place < width * height; place += 1) {
    const red = levels[place];
    const green = levels[place + width * height] ?? red; // a grey image has only one channel
    const blue = levels[place + 2 * width * height] ?? red;
    image.data.set([red, green, blue, 255], 4 * place);
  }
  return image;
}

const told = { trouble: "", notice: "" };

function tell(change) {
  const message = Object.assign(told, change).trouble || told.notice;
  if (find("notice").textContent !== message) find("notice").textContent = message;
}

/** Say something that does not concern the answer, until the drawing changes. */
export function showNotice(notice) {
  tell({ notice });
}

let speaking = 0;

/** Have a screen reader say the text, once the drawing rests. */
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    if (find("spoken").textContent !== text) find("spoken").textContent = text;
  }, QUIET);
}
