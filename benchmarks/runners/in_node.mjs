// node in_node.mjs MODEL PIXELS ANSWER SIZE...    Runs the model in onnxruntime-node; `bun` and `deno` run it too.

import { readFileSync, writeFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { answer } from "./answer.mjs";

const [model, pixels, target, ...sizes] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
const { bun, deno, node } = process.versions;
const engine = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
const version = `${ort.env.versions.node} (${engine})`;
const blob = await answer(ort, session, version, new Uint8Array(readFileSync(pixels)), sizes.map(Number));
writeFileSync(target, Buffer.from(await blob.arrayBuffer()));
