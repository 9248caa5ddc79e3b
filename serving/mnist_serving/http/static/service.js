// The guesser that asks the service. The service inlines this file after draw.js, without the import, so the names at
// the top level of the two must differ.
import { start } from "./draw.js";

const PATIENCE = 10_000; // milliseconds; a service that has not answered by then counts as gone
const AWAY = "The service cannot be reached. The page keeps trying.";
const BUSY = "The service is busy. The page keeps trying.";
const LATER = new Set([408, 502, 503, 504]); // statuses that pass without a change to the request

let predict; // the call

start({
  async open() {
    const model = await ask("model");
    const { size, channels, centred } = model.preprocessing;
    predict = `predict?seen=true${centred ? "&number=true" : ""}`; // only a model of single digits reads numbers
    const share = model.accuracy.toLocaleString("en", { style: "percent", maximumFractionDigits: 2 });
    return {
      labels: model.labels,
      about: `The model reads ${share} of the test images of ${model.dataset} correctly.`,
      shape: [channels === "rgb" ? 3 : 1, ...size],
      centred,
      predict: new URL("predict", document.baseURI).href,
      links: { "About the model": "model", "HTTP API": "docs" },
    };
  },

  async guess(drawing) {
    const body = await new Promise((done) => drawing.toBlob(done));
    const reply = await ask(predict, { method: "POST", headers: { "Content-Type": body.type }, body });
    const { number, digits, ...rest } = reply.predictions[0];
    if (digits?.length === 1) return digits[0];
    return digits ? { ...rest, label: number, digits: digits.map((digit) => inShares(digit, drawing)) } : rest;
  },
});

/** Return a digit of a number with its box, which the service gives in pixels, in shares of the drawing. */
function inShares(digit, { width, height }) {
  const [left, top, right, bottom] = digit.box;
  return { ...digit, box: [left / width, top / height, right / width, bottom / height] };
}

async function ask(call, options = {}) {
  let reply;
  let document;
  try {
    reply = await fetch(call, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    document = await reply.json();
  } catch (error) {
    if (reply === undefined || !(error instanceof SyntaxError)) throw tryAgain(AWAY);
    document = {}; // perhaps a proxy's page
  }
  if (LATER.has(reply.status)) throw tryAgain(BUSY);
  if (!reply.ok) throw new Error(sentence(document.error ?? `the service answers with status ${reply.status}`));
  return document;
}

function tryAgain(message) {
  return Object.assign(new Error(message), { retry: true });
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
