// "Wrong? It is a …": pictures with their right labels, kept in the page and downloaded as the folder of a data set.

import { find, make } from "./dom.js";
import { makeTar } from "./tar.js";

const FOLDER = "pictures"; // the data set `folder` reads pictures/<label>/<name>.png, and pictures/dataset.json
const UNFIT = /^\.|[\\/:*?"<>|]/g; // in the name of a folder on some systems

/** Keeps what the model saw, because that is what a network learns from. */
export class Keeper {
  constructor() {
    this.pictures = []; // {reply, label, name, content: Promise<Uint8Array>}
    this.reply = null;
    this.saved = true; // all of them have been downloaded
    find("download").addEventListener("click", () => (this.saved = true));
    addEventListener("beforeunload", (event) => {
      if (!this.saved) event.preventDefault();
    });
  }

  /** Offer the labels of a model. */
  open({ labels, centred = true }) {
    this.about = new TextEncoder().encode(JSON.stringify({ centred }));
    const buttons = labels.map((label) => make("button", label, { type: "button", onclick: () => this.keep(label) }));
    find("labels").replaceChildren(...buttons);
  }

  /** Take the reply that is shown, or null. */
  take(reply) {
    this.reply = reply;
    find("right").disabled = !reply?.seen; // a number's reply has no such picture
    find("kept").textContent = "";
  }

  /** Keep the picture that is shown, or change its label. */
  async keep(label) {
    const { reply } = this;
    const known = this.pictures.find((picture) => picture.reply === reply);
    if (known) known.label = label;
    else this.pictures.push({ reply, label, name: `${Date.now()}.png`, content: readPng(find("seen")) });
    this.saved = false;
    find("kept").textContent = `Kept as ${label}.`;
    await this.offer();
  }

  /** Set the link to all pictures. */
  async offer() {
    const files = this.pictures.map(async ({ label, name, content }) => [
      `${FOLDER}/${label.replace(UNFIT, (letter) => `%${letter.codePointAt(0).toString(16)}`)}/${name}`,
      await content,
    ]);
    const link = find("download");
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(makeTar([[`${FOLDER}/dataset.json`, this.about], ...(await Promise.all(files))]));
    link.textContent = `Download ${files.length === 1 ? "1 picture" : `${files.length} pictures`}`;
    link.hidden = false;
  }
}

async function readPng(canvas) {
  const picture = await new Promise((done) => canvas.toBlob(done));
  return new Uint8Array(await picture.arrayBuffer());
}
