// Canonicalising and the model, off the page's thread: a stroke is drawn smoothly while the last is looked at.
//
// A message is `{ pixels: ImageData }` with a port for the reply; without pixels it asks for the contract.

import { SIDE, canonicalize } from "./canonicalize.js";
import { openModel } from "./model.js";
import { toGrey } from "./picture.js";

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
  return model.contract;
}

async function guess(pixels) {
  const seen = canonicalize(toGrey(pixels), pixels.width, pixels.height);
  return { ...(await model.predict(seen)), seen };
}
