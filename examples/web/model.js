// The model with the contract that `model.json` states: what `Classifier` is in Python.
//
// Nothing here knows how many classes there are or what they are called.

import { readDense } from "./dense.js";

const GOLDEN_TOLERANCE = 1e-3; // largest |difference of logits| that another runtime's rounding may make

/**
 * Load `model.json` and the model that it describes, which has to answer its golden examples.
 *
 * @param {URL} address of `model.json`
 */
export async function openModel(address) {
  const contract = await (await load(address)).json();
  const file = new Uint8Array(await (await load(new URL(contract.file, address))).arrayBuffer());
  const run = readDense(file, contract.inputs[0].shape) ?? (await openRuntime(file, contract));
  await checkGolden(run, contract);
  return { contract, predict: async (pixels) => describe(await run(pixels), contract) };
}

async function load(address) {
  const reply = await fetch(address).catch(() => undefined);
  if (reply?.ok) return reply;
  const reason = reply ? `the server answers with status ${reply.status}` : "the server cannot be reached";
  throw Object.assign(new Error(`${address.pathname} is missing: ${reason}`), { retry: true });
}

async function openRuntime(file, contract) {
  const runtime = await import("./runtime.js").catch(() => {
    throw new Error(`${contract.file} needs onnxruntime-web, which is not here: build the site again with this model`);
  });
  return runtime.openRuntime(file, contract.inputs[0]);
}

/** What an image is, as the service says it: the fields of `/predict`. */
function describe(outputs, { labels, confidence_threshold: threshold }) {
  const probabilities = [...outputs.probabilities];
  const probability = Math.max(...probabilities);
  const [digit] = outputs.digit;
  const abstained = Math.fround(digit * probability) < Math.fround(threshold); // in 32 bits, as Python compares them
  const [first, second] = labels.map((_, place) => place).sort((one, two) => probabilities[two] - probabilities[one]);
  const reason = digit < probability ? "no digit" : `${labels[first]} or ${labels[second]}`;
  const label = labels[outputs.logits.indexOf(Math.max(...outputs.logits))];
  return { label, probability, probabilities, digit, abstained, ...(abstained && { reason }) };
}

/** Prove that the model answers its golden examples, or throw. */
async function checkGolden(run, contract) {
  const { images, logits } = contract.golden;
  for (const [place, text] of images.entries()) {
    const answer = await run(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    const differences = logits[place].map((logit, number) => Math.abs(logit - answer.logits[number]));
    if (differences.length === answer.logits.length && Math.max(...differences) <= GOLDEN_TOLERANCE) continue;
    throw new Error(`${contract.file} is not the model that model.json describes: download both again`);
  }
}
