// The guesser that asks the service. The service inlines this file after draw.js, without the import, so the names at
// the top level of the two must differ.
import { start } from "./draw.js";

const PATIENCE = 10_000; // milliseconds; a service that has not answered by then counts as gone
const AWAY = "The service cannot be reached. The page keeps trying.";
const BUSY = "The service is busy. The page keeps trying.";
const LATER = new Set([408, 429, 502, 503, 504]); // statuses that pass without a change to the request

let readsNumbers = false; // a model of single digits is asked for several where it is not sure of one

start({
  async open() {
    const model = await ask("model");
    const { size, channels, centred } = model.preprocessing;
    readsNumbers = centred;
    const share = model.accuracy.toLocaleString("en", { style: "percent", maximumFractionDigits: 2 });
    return {
      labels: model.labels,
      about: `The model reads ${share} of the test images of ${model.dataset} correctly.`,
      shape: [channels === "rgb" ? 3 : 1, ...size],
      centred,
      numbers: centred,
      predict: new URL("predict", document.baseURI).href,
      links: { "About the model": "model", "HTTP API": "docs" },
    };
  },

  async guess(drawing) {
    const body = await new Promise((done) => drawing.toBlob(done));
    const send = async (query) => {
      const reply = await ask(`predict?${query}`, { method: "POST", headers: { "Content-Type": body.type }, body });
      return reply.predictions[0];
    };
    const one = await send("seen=true").catch((error) => error);
    const refused = one instanceof Error;
    if (!readsNumbers || one.retry || !(refused || one.abstained)) return settle(one);
    const several = await send("seen=true&number=true").catch((error) => error);
    if (several.digits?.length > 1 && (refused || !several.abstained)) return asNumber(several, drawing);
    return settle(refused && several instanceof Error ? several : one);
  },
});

function settle(outcome) {
  if (outcome instanceof Error) throw outcome;
  return outcome;
}

/** Return the service's answer of several digits as the page's. */
function asNumber({ number, digits, abstained, reason }, drawing) {
  return { label: number, digits: digits.map((digit) => inShares(digit, drawing)), abstained, reason };
}

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
    document = null; // a proxy's page, perhaps to log in again
  }
  if (LATER.has(reply.status)) throw tryAgain(BUSY);
  if (reply.ok && document) return document;
  const other = `this is not the service's answer (status ${reply.status}): loading the page again may help`;
  throw new Error(sentence(document?.error ?? other));
}

function tryAgain(message) {
  return Object.assign(new Error(message), { retry: true });
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
