// Says which class each picture belongs to, with onnxruntime-node.
//
//     node classify.mjs MODEL PICTURE...
//
// onnxruntime-node cannot read a model's metadata: model.json beside model.onnx says the same. A picture is a binary
// PGM of the model's size, white ink on black. Exit codes: 0 done, 1 a file could not be read, 2 wrong usage.

import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";

process.env.ORT_DISABLE_TELEMETRY ??= "1"; // onnxruntime reads it when the first session is made

function readPgm(path, [wantedHeight, wantedWidth]) {
  const content = readFileSync(path);
  const header = /^P5\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+255\s/.exec(content.toString("latin1"));
  if (!header) throw new Error("no binary PGM with grey levels 0 to 255");
  const [width, height] = header.slice(1).map(Number);
  if (width !== wantedWidth || height !== wantedHeight)
    throw new Error(`${width}x${height} pixels; the model takes ${wantedWidth}x${wantedHeight}`);
  const pixels = content.subarray(header[0].length, header[0].length + width * height);
  if (pixels.length < width * height) throw new Error("the file is cut short");
  return new ort.Tensor("uint8", Uint8Array.from(pixels), [1, 1, height, width]);
}

async function classify(session, image, labels, threshold) {
  const { probabilities, digit } = await session.run({ image });
  const probability = Math.max(...probabilities.data);
  const answer = `${labels[probabilities.data.indexOf(probability)]}  ${probability.toFixed(4)}`;
  const sure = digit.data[0] * probability >= threshold;
  return sure ? answer : `not sure, perhaps ${answer}`;
}

function fail(message, code) {
  console.error(`classify.mjs: ${message}`);
  process.exit(code);
}

const [model, ...pictures] = process.argv.slice(2);
if (!pictures.length) fail("usage: node classify.mjs MODEL PICTURE...", 2);
let session, labels, size, threshold;
try {
  session = await ort.InferenceSession.create(model);
  const description = JSON.parse(readFileSync(model.replace(/\.onnx$/, ".json"), "utf8"));
  ({ labels, preprocessing: { size }, confidence_threshold: threshold } = description);
} catch (error) {
  fail(`${model} and its .json cannot be used: ${error.message}`, 1);
}
for (const path of pictures) {
  try {
    console.log(`${path}: ${await classify(session, readPgm(path, size), labels, threshold)}`);
  } catch (error) {
    console.error(`classify.mjs: ${path}: ${error.message}`);
    process.exitCode = 1;
  }
}
