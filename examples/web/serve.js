// node serve.js [PORT]    Serves dist/ to this machine's browsers; any other static server will do.

import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";

const SITE = join(import.meta.dirname, "dist");
const TYPES = {
  ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript",
  ".json": "application/json", ".wasm": "application/wasm", ".onnx": "application/octet-stream",
};
const port = Number(process.argv[2] ?? 8080);

const server = createServer((request, response) => {
  const name = new URL(request.url, "http://localhost").pathname.slice(1) || "index.html";
  // Only what is listed is served: no path leads out of the folder.
  if (!readdirSync(SITE).includes(name)) return response.writeHead(404).end();
  response.writeHead(200, { "Content-Type": TYPES[extname(name)] });
  response.end(readFileSync(join(SITE, name)));
});

server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
