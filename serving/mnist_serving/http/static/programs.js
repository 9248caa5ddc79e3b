// "Use this from your program": the very drawing as commands and programs to copy.

import { MNIST, find, make } from "./dom.js";
import { makeCanvas } from "./sheet.js";

const LONGEST = 100_000; // letters of a picture in a command: Linux takes 131,072 as one argument

const WRITERS = { "curl": writeCurl, "Python": writePython, "Python with onnxruntime": writeOnnx };

/** Shows the programs for the answer that is shown. */
export class Programs {
  constructor() {
    find("programs").addEventListener("toggle", () => this.write());
  }

  /** Make a place for each program that a model can be asked with. */
  open({ predict, shape = MNIST, centred = true }) {
    this.about = { predict, shape, centred };
    this.texts = new Map();
    const entries = Object.entries(WRITERS).filter(([name]) => predict || name.includes("onnxruntime"));
    find("texts").replaceChildren(...entries.map(([name, write]) => this.makePlace(name, write)));
  }

  makePlace(name, write) {
    const place = make("section", "");
    const text = make("pre", "", { tabIndex: 0, role: "region", ariaLabel: name });
    const button = make("button", "Copy", { type: "button", ariaLabel: `Copy: ${name}` });
    button.addEventListener("click", () => copy(text));
    place.append(make("h2", name), button, text);
    this.texts.set(text, write);
    return place;
  }

  /** Take the reply that is shown, and the drawing that it belongs to; or null. */
  take(reply, drawing) {
    const predict = reply?.digits ? `${this.about?.predict}?number=true` : this.about?.predict;
    this.shown = reply && { ...this.about, predict, seen: reply.seen, drawing };
    find("programs").hidden = reply === null;
    this.write();
  }

  /** Write the programs, if they can be seen. */
  write() {
    if (!find("programs").open || !this.shown) return;
    find("copied").textContent = "";
    const shown = { ...this.shown, picture: encode(this.shown) };
    for (const [text, write] of this.texts) {
      text.parentElement.hidden = write === writeOnnx && !shown.seen; // which reads one digit
      text.textContent = text.parentElement.hidden ? "" : write(shown);
    }
  }
}

/** Copy an element's text: where pages may not use the clipboard (without HTTPS), as a user would. */
async function copy(element) {
  getSelection().selectAllChildren(element);
  try {
    await navigator.clipboard.writeText(element.textContent);
  } catch {
    document.execCommand("copy");
  }
  find("copied").textContent = "Copied.";
}

/** Return the drawing as a data URL; if that is too long, what the model saw, or a number at half its size. */
function encode({ drawing, seen }) {
  const whole = drawing.toDataURL();
  if (whole.length <= LONGEST) return whole;
  if (seen) return find("seen").toDataURL();
  const half = makeCanvas(drawing.width / 2, drawing.height / 2);
  half.getContext("2d").drawImage(drawing, 0, 0, half.width, half.height);
  return encode({ drawing: half });
}

function writeCurl({ predict, picture }) {
  return `curl '${predict}' -H 'Content-Type: application/json' -d '{"image": "${picture}"}'\n`;
}

function writePython({ predict, picture }) {
  return `import base64
import json
from urllib.request import Request, urlopen

picture = base64.b64decode("${picture.split(",")[1]}")  # or a file: open("digit.png", "rb").read()
request = Request("${predict}", picture, {"Content-Type": "image/png"})
with urlopen(request) as reply:
    print(json.load(reply)["predictions"])
`;
}

function writeOnnx({ seen, shape, centred }) {
  const bytes = Array.from(seen, (level) => String.fromCharCode(level)).join("");
  const way = centred ? "as mnist_serving.canonicalize makes it: 255 is ink" : "0 is dark, 255 is light";
  return `import base64
import json
import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import
import numpy as np
import onnxruntime

# The picture that the model saw, ${way}
pixels = base64.b64decode("${btoa(bytes)}")
image = np.frombuffer(pixels, np.uint8).reshape(1, ${shape.join(", ")})

session = onnxruntime.InferenceSession("model.onnx")  # in the repository serving/mnist_serving/model.onnx
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
probabilities, digit = session.run(["probabilities", "digit"], {"image": image})
print(labels[probabilities.argmax()], probabilities.max(), digit.item())
`;
}
