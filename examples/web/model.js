// The model in onnxruntime-web, on one thread of WebAssembly, with the contract that `model.json` states.
//
// What `Classifier` is in Python: nothing here knows how many classes there are or what they are called.

import * as ort from "./ort.wasm.bundle.min.mjs";

const GOLDEN_TOLERANCE = 1e-3; // largest |difference of logits| that another runtime's rounding may make

ort.env.wasm.numThreads = 1; // more would need a server that isolates the page, and gain nothing

/**
 * Load `model.json` and the model that it describes, which has to answer its golden examples.
 *
 * @param {URL} address of `model.json`
 */
export async function openModel(address) {
  const contract = await (await load(address)).json();
  const file = await load(new URL(contract.file, address));
  const session = await ort.InferenceSession.create(new Uint8Array(await file.arrayBuffer()));
  await checkGolden(session, contract);
  return { contract, predict: (pixels) => predict(session, contract, pixels) };
}

async function load(address) {
  const reply = await fetch(address).catch(() => undefined);
  if (reply?.ok) return reply;
  const reason = reply ? `the server answers with status ${reply.status}` : "the server cannot be reached";
  throw Object.assign(new Error(`${address.pathname} is missing: ${reason}`), { retry: true });
}

/** Run N images, given as all their pixels. */
function run(session, contract, pixels) {
  const [input] = contract.inputs;
  const shape = input.shape.slice(1);
  const count = pixels.length / shape.reduce((size, side) => size * side);
  return session.run({ [input.name]: new ort.Tensor("uint8", pixels, [count, ...shape]) });
}

/** Recognise one image, uint8 [784]: label, probability, probabilities, and whether not to believe it. */
async function predict(session, contract, pixels) {
  const { logits, probabilities, digit } = await run(session, contract, pixels);
  const best = logits.data.indexOf(Math.max(...logits.data));
  const probability = Math.max(...probabilities.data);
  return {
    label: contract.labels[best],
    probability,
    probabilities: [...probabilities.data],
    // In 32 bits, as Python compares them.
    abstained: Math.fround(digit.data[0] * probability) < Math.fround(contract.confidence_threshold),
  };
}

/** Prove that the model answers its golden examples, or throw. */
async function checkGolden(session, contract) {
  const { images, logits } = contract.golden;
  const pixels = images.flatMap((text) => [...atob(text)].map((letter) => letter.charCodeAt(0)));
  const answers = await run(session, contract, Uint8Array.from(pixels));
  const wanted = logits.flat();
  const difference = Math.max(...wanted.map((logit, place) => Math.abs(logit - answers.logits.data[place])));
  if (difference <= GOLDEN_TOLERANCE && wanted.length === answers.logits.data.length) return;
  throw new Error(`${contract.file} is not the model that model.json describes: download both again`);
}
