// Canonicalising and the model, off the page's thread: a stroke is drawn smoothly while the last is looked at.
//
// A message is `{ pixels: ImageData }` with a port for the reply; without pixels it asks for the contract.

import { LEAST_SIDE, SIDE, canonicalize } from "./canonicalize.js";
import { openModel } from "./model.js";
import { toGrey } from "./picture.js";

const WARM_UPS = 40; // code that runs for the first times takes ten times as long as later: not at the first strokes
const STROKE = new ImageData(250, 250); // black on a transparent page, that is on white
for (let y = 50; y < 200; y++) for (let x = 115; x < 135; x++) STROKE.data[4 * (250 * y + x) + 3] = 255;

let model;

onmessage = async ({ data: { pixels }, ports: [port] }) => {
  try {
    port.postMessage({ reply: pixels ? await guess(pixels) : await open() });
  } catch ({ message, retry }) {
    port.postMessage({ error: { message, retry } });
  }
};

async function open() {
  model = await openModel(new URL("model.json", import.meta.url));
  const { size } = model.contract.preprocessing;
  if (size.some((side) => side !== SIDE)) throw new Error(`the model wants pictures of ${size.join("x")} pixels`);
  warmUp();
  return model.contract;
}

/** Guess for practice; what the page asks meanwhile goes in between. */
async function warmUp() {
  for (let time = 0; time < WARM_UPS; time++) {
    await guess(STROKE);
    await new Promise((done) => setTimeout(done));
  }
}

async function guess(pixels) {
  const { grey, width, height } = toGrey(pixels);
  if (Math.min(width, height) < LEAST_SIDE) {
    throw new Error(`${width}x${height} pixels: a picture of a digit has at least ${LEAST_SIDE} on each side`);
  }
  const seen = canonicalize(grey, width, height);
  return { ...(await model.predict(seen)), seen };
}
