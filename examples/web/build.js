// node build.js [FOLDER [MODEL]]    Puts the site together in a folder, by default dist/. Nothing is bundled.
//
// MODEL is a folder with another model.onnx and model.json than the package's.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { readDense } from "./dense.js";

const HERE = import.meta.dirname;
const PACKAGE = join(HERE, "../../serving/mnist_serving");
const PAGE = join(PACKAGE, "http/static");
const SCRIPTS =
  "canonicalize.js locate.js figures.js lines.js background.js stroke_width.js ndimage.js " +
  "picture.js dense.js model.js worker.js local.js";
const RUNTIME = ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"]; // for the processor, without threads

const [target = join(HERE, "dist"), model = PACKAGE] = process.argv.slice(2);
for (const name of ["model.onnx", "model.json"]) {
  if (existsSync(join(model, name))) continue;
  console.error(`${join(model, name)} is missing: name a folder that holds a model.onnx and its model.json`);
  process.exit(1);
}
const dense = isDense(readFileSync(join(model, "model.onnx")), read(model, "model.json"));

// What the page may load: its own files, and WebAssembly where the model needs it.
const POLICY =
  `default-src 'none'; script-src 'self'${dense ? "" : " 'wasm-unsafe-eval'"}; worker-src 'self'; ` +
  "connect-src 'self'; style-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'";

const written = new Map();
mkdirSync(target, { recursive: true });

copy(PAGE, readdirSync(PAGE).filter((name) => !["index.html", "service.js"].includes(name)));
copy(HERE, SCRIPTS.split(" "));
copy(model, ["model.onnx", "model.json"]);
if (!dense) copyRuntime();
write("index.html", withLocalModel(read(PAGE, "index.html")));
write("sw.js", withFiles(read(HERE, "offline.js")));

function read(folder, name) {
  return readFileSync(join(folder, name), "utf8");
}

function isDense(file, description) {
  return readDense(file, JSON.parse(description).inputs[0].shape) !== null;
}

function copyRuntime() {
  const folder = join(HERE, "node_modules/onnxruntime-web/dist");
  if (!existsSync(folder)) throw new Error("this model needs onnxruntime-web: run npm ci first");
  copy(HERE, ["runtime.js"]);
  copy(folder, RUNTIME);
}

function copy(folder, names) {
  for (const name of names) write(name, readFileSync(join(folder, name)));
}

function write(name, content) {
  if (written.has(name)) throw new Error(`two files are called ${name}`);
  written.set(name, content);
  writeFileSync(join(target, name), content);
}

/** The service's page with the guesser that needs none. */
function withLocalModel(page) {
  const policy = `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`;
  return replaced(page, [
    ['src="service.js"', 'src="local.js"'],
    ['<meta charset="utf-8">', `$&\n    ${policy}`],
  ]);
}

/** The service worker with the files of this build, and a version that is another one if any of them is. */
function withFiles(worker) {
  const digest = createHash("sha256");
  for (const [name, content] of written) digest.update(`${name}\n`).update(content);
  return replaced(worker, [
    ['["./"]', JSON.stringify(["./", ...[...written.keys()].filter((name) => name !== "index.html")])],
    [" version`", ` ${digest.digest("hex").slice(0, 16)}\``],
  ]);
}

function replaced(text, changes) {
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`a source is not as it was: ${from} is missing`);
    text = text.replace(from, to);
  }
  return text;
}
