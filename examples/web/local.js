// The guesser of the drawing page that needs no service: the model runs here, in a worker.

import { start } from "./draw.js";

const worker = new Worker("worker.js", { type: "module" });

let broken = null; // why the worker never answers
let refuse = () => {}; // the question that it is working on
worker.onerror = () => {
  broken = new Error("The model cannot be started. Loading the page again may help.");
  refuse(broken);
};

start({
  async open() {
    const { labels, accuracy, dataset } = await ask({});
    navigator.serviceWorker?.register("sw.js").catch(() => {}); // only for the next visit, which may be offline
    const share = accuracy.toLocaleString("en", { style: "percent", maximumFractionDigits: 2 });
    return {
      labels,
      about:
        `The model reads ${share} of the test images of ${dataset} correctly. ` +
        "It runs in this browser: what is drawn stays here.",
      links: { "About the model": "model.json" },
    };
  },

  guess: (canvas) => ask({ pixels: canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height) }),
});

/** Send a message to the worker; its reply comes through a port of its own. */
function ask(message) {
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data: { reply, error } }) => {
      port1.close();
      if (reply) resolve(reply);
      else reject(Object.assign(new Error(sentence(error.message)), { retry: error.retry }));
    };
    refuse = reject;
    if (broken) reject(broken);
    worker.postMessage(message, [port2]);
  });
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
