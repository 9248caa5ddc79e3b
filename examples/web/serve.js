// node serve.js [PORT [FOLDER]]    Serves dist/ to this machine's browsers; any other static server will do.

import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";

const TYPES = {
  ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript",
  ".json": "application/json", ".wasm": "application/wasm",
};
const [port = 8080, site = join(import.meta.dirname, "dist")] = process.argv.slice(2);

const server = createServer((request, response) => {
  const name = new URL(`http://localhost${request.url}`).pathname.slice(1) || "index.html";
  // Only what is listed is served: no path leads out of the folder.
  if (!readdirSync(site).includes(name)) return response.writeHead(404).end();
  response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream" });
  response.end(readFileSync(join(site, name)));
});

server.on("error", ({ message }) => {
  console.error(`serve.js: ${message}: node serve.js PORT takes another port`);
  process.exitCode = 1;
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
