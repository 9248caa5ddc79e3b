// The guesser of the drawing page that asks the service. The service inlines this file after draw.js: the import goes,
// and the names at the top level of the two must differ.
import { start } from "./draw.js";

const PATIENCE = 10_000; // milliseconds; a service that has not answered by then is as good as gone
const AWAY = "The service cannot be reached. The page goes on trying.";
const BUSY = "The service is busy. The page goes on trying.";
const LATER = new Set([408, 502, 503, 504]); // statuses that pass by themselves

start({
  async open() {
    const model = await ask("model");
    const { size, channels, centred } = model.preprocessing;
    const share = model.accuracy.toLocaleString("en", { style: "percent", maximumFractionDigits: 2 });
    return {
      labels: model.labels,
      about: `The model reads ${share} of the test images of ${model.dataset} right.`,
      shape: [channels === "rgb" ? 3 : 1, ...size],
      centred,
      links: { "What the model is": "model", "The calls of the service": "docs" },
    };
  },

  async guess(drawing) {
    const body = await new Promise((done) => drawing.toBlob(done));
    const reply = await ask("predict?seen=true", { method: "POST", headers: { "Content-Type": body.type }, body });
    return reply.predictions[0];
  },
});

async function ask(call, options = {}) {
  let reply;
  let document;
  try {
    reply = await fetch(call, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    document = await reply.json();
  } catch (error) {
    if (reply === undefined || !(error instanceof SyntaxError)) throw tryAgain(AWAY);
    document = {}; // a proxy's page, perhaps
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
