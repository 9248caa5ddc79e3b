// Any other network in onnxruntime-web, on one thread of WebAssembly. build.js leaves it out where dense.js suffices.

import * as ort from "./ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1; // more would need a server that isolates the page, and gain nothing

/**
 * Load a model; return what dense.js's `readDense` returns, but as a promise.
 *
 * @param {Uint8Array} file an ONNX model
 * @param {{name: string, shape: Array}} input of the model
 */
export async function openRuntime(file, { name, shape }) {
  const session = await ort.InferenceSession.create(file);
  return async (pixels) => {
    const outputs = await session.run({ [name]: new ort.Tensor("uint8", pixels, [1, ...shape.slice(1)]) });
    return Object.fromEntries(Object.entries(outputs).map(([output, { data }]) => [output, data]));
  };
}
