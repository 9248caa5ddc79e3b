// The service worker: keeps all files of the site, so that it loads again without a network. build.js makes sw.js of it.
//
// The files of one build stay together: another build is used once every tab of the site has been closed.

const FILES = ["./"];
const CACHE = `${registration.scope} version`; // other sites of the same host have caches of their own

addEventListener("install", (event) => event.waitUntil(keep()));
addEventListener("activate", (event) => event.waitUntil(forget()));
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function keep() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((name) => new Request(name, { cache: "no-cache" }))); // the browser asks for what changed
}

async function forget() {
  const others = (await caches.keys()).filter((name) => name.startsWith(`${registration.scope} `) && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  // Servers that redirect index.html to its folder give it no answer that could be kept.
  const wanted = request.mode === "navigate" ? request.url.replace(/\/index\.html(?=[?#]|$)/, "/") : request;
  return (await cache.match(wanted, { ignoreSearch: true })) ?? fetch(request);
}
