// The program of index.html, served as it is or built by a bundler.

import * as ort from "onnxruntime-web/wasm";
import { answer } from "./answer.mjs";

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create("model.onnx");
const version = `${ort.env.versions.web} (Chromium ${navigator.userAgent.match(/Chrome\/(\d+)/)?.[1]})`;
const pixels = new Uint8Array(await (await fetch("pixels")).arrayBuffer());
const sizes = location.search.slice(1).split(",").map(Number);
await fetch("answer", { method: "POST", body: await answer(ort, session, version, pixels, sizes) });
