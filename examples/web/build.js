// node build.js [FOLDER]    Puts the site together in a folder, by default dist/. Nothing is bundled: it is copied.

import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const HERE = import.meta.dirname;
const PACKAGE = join(HERE, "../../serving/mnist_serving");
const PAGE = join(PACKAGE, "http/static");
const SCRIPTS =
  "canonicalize.js locate.js figures.js lines.js background.js stroke_width.js ndimage.js " +
  "picture.js model.js worker.js local.js";
const RUNTIME = ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"]; // for the processor, without threads

// What the page may load: its own files, and WebAssembly.
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; " +
  "style-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'";

const target = process.argv[2] ?? join(HERE, "dist");
const copied = new Set();
mkdirSync(target, { recursive: true });

copy(PAGE, readdirSync(PAGE).filter((name) => !["index.html", "service.js"].includes(name)));
copy(HERE, SCRIPTS.split(" "));
copy(PACKAGE, ["model.onnx", "model.json"]);
copy(join(HERE, "node_modules/onnxruntime-web/dist"), RUNTIME);
writeFileSync(join(target, "index.html"), withLocalModel(readFileSync(join(PAGE, "index.html"), "utf8")));

function copy(folder, names) {
  for (const name of names) {
    if (copied.has(name)) throw new Error(`two files are called ${name}`);
    copied.add(name);
    copyFileSync(join(folder, name), join(target, name));
  }
}

/** The service's page with the guesser that needs none. */
function withLocalModel(page) {
  const policy = `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`;
  const changed = page
    .replace('src="service.js"', 'src="local.js"')
    .replace('<meta charset="utf-8">', `$&\n    ${policy}`);
  if (!changed.includes("local.js") || !changed.includes(policy)) throw new Error("index.html is not as it was");
  return changed;
}
