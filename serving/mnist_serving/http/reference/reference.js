// The page of the HTTP API: every call of `openapi.json` with a form, prefilled with an example, to send.
//
// The service inlines this file after request.js, without the import, so the names at the top level of the two must
// differ.

import { asCurl, asPython, bodies, fill, options, pretty } from "./request.js";

const FIRST = "/predict"; // the call that is open at first

const find = (id) => document.getElementById(id);

try {
  const reply = await fetch("openapi.json");
  const described = await reply.json();
  if (!reply.ok) throw new Error(described.error);
  show(described);
} catch ({ message }) {
  find("about").className = "failed";
  find("about").textContent = `The description cannot be loaded: ${message}. Load the page again to retry.`;
}

function show(described) {
  const { title, version, description } = described.info;
  find("title").textContent = document.title = `${title} ${version}`;
  find("about").replaceChildren(...marked(description));
  for (const [path, { parameters: shared = [], ...methods }] of Object.entries(described.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const call = { method, path, operation, parameters: [...shared, ...(operation.parameters ?? [])] };
      const verb = make("span", { className: "method" }, method.toUpperCase());
      find("calls").append(folded(path, [verb, path], operation.summary, () => unfold(described, call)));
    }
  }
  for (const [name, schema] of Object.entries(described.components.schemas)) {
    find("schemas").append(folded(name, [name], "", () => [area(`Schema ${name}`, pretty(schema))]));
  }
  (find(decodeURIComponent(location.hash.slice(1))) ?? find(FIRST)).open = true;
}

/** Make an element with its properties and what is in it. */
function make(tag, properties, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...content);
  return element;
}

/** Text as nodes: what stands between backticks is code. */
function marked(text) {
  return text.split("`").map((part, number) => (number % 2 ? make("code", {}, part) : part));
}

/** A part of the page that is made when it is opened for the first time. */
function folded(id, name, note, write) {
  const content = make("div", { className: "content" });
  const summary = make("summary", {}, make("h3", {}, ...name), make("span", {}, note));
  const part = make("details", { id }, summary, content);
  part.addEventListener("toggle", () => content.append(...write()), { once: true });
  return part;
}

/** A text that scrolls, with the keyboard too. */
function area(name, text = "") {
  return make("pre", { tabIndex: 0, role: "region", ariaLabel: name }, text);
}

function unfold(described, call) {
  const { description = "", responses } = call.operation;
  const rows = Object.entries(responses).map(([status, reply]) => {
    const said = make("td", {}, ...marked(reply.description), ` (${Object.keys(reply.content).join(", ")})`);
    return make("tr", {}, make("th", { scope: "row" }, status), said);
  });
  const replies = [make("h4", {}, "Replies"), make("table", {}, make("tbody", {}, ...rows))];
  return [make("p", {}, ...marked(description)), ...tryOut(described, call), ...replies];
}

/** The form of a call, its reply, and the same request as programs, which follow the form. */
function tryOut(described, call) {
  const choices = bodies(described, call.operation);
  const fields = call.parameters.map(makeField);
  const example = make("select", { name: "example" });
  example.append(...choices.map(({ name, title }) => make("option", { value: name }, title)));
  const editor = make("div", {});
  const body = choices.length > 0 ? [label("Example", "", example), editor] : [];
  const send = make("button", { className: "send" }, "Send");
  const form = make("form", {}, ...fields.map((field) => field.label), ...body, send);
  const status = make("p", { role: "status" });
  const reply = make("div", {});
  const title = `${call.method.toUpperCase()} ${call.path}`;
  const [curl, python] = [makeProgram("curl", title), makeProgram("Python, requests", title)];

  let readBody;
  const request = () => fill(call, fields.map(({ input }) => input.value), readBody?.());
  const refresh = () => {
    const type = replyType(call, choices[example.selectedIndex]);
    curl.show(asCurl(request(), type));
    python.show(asPython(request(), type));
  };
  const choose = () => {
    const choice = choices[example.selectedIndex];
    if (choice) readBody = edit(editor, choice);
    for (const { input, initial, examples } of fields) input.value = examples[choice?.name]?.value ?? initial;
    refresh();
  };
  example.addEventListener("change", choose);
  form.addEventListener("input", refresh);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    status.textContent = "Sent…";
    const { ok, said, text } = await answer(request());
    status.className = ok ? "" : "failed";
    status.textContent = said;
    reply.replaceChildren(area(`Reply of ${title}`, text));
  });
  choose();
  return [form, status, reply, ...curl.parts, ...python.parts];
}

function makeField({ name, required, schema, examples = {} }) {
  const values = schema.enum ?? (schema.type === "boolean" ? [false, true] : null);
  const input = values ? make("select", {}) : make("input", { required });
  input.append(...(values ?? []).map((value) => make("option", {}, value)));
  const initial = String(schema.default ?? values?.[0] ?? "");
  return { label: label(name, schema.description ?? "", input), input, initial, examples };
}

function label(name, note, input) {
  return make("label", {}, name, ...(note ? [make("small", {}, ...marked(note))] : []), input);
}

/** Fill the editor with an example of a body; return the function that reads it. */
function edit(editor, { type, text, address, file }) {
  if (!file) {
    const input = make("textarea", { value: text, spellcheck: false });
    editor.replaceChildren(label("Body", "", input));
    return () => ({ type, text: input.value });
  }
  const input = make("input", { type: "file", multiple: type.startsWith("multipart/") });
  const link = make("a", { href: address, download: file.name }, file.name);
  const sample = make("p", { className: "sample" }, make("span", {}, "If no file is chosen, this is sent: ", link));
  if (file.type.startsWith("image/")) sample.prepend(make("img", { src: address, alt: "The picture of the example" }));
  editor.replaceChildren(label("File", "", input), sample);
  return () => ({ type, files: input.files.length > 0 ? [...input.files] : [file] });
}

/** A program with a button that copies it. */
function makeProgram(title, name) {
  const text = area(`${title}: ${name}`);
  const copy = make("button", { type: "button", ariaLabel: `Copy ${title}: ${name}` }, "Copy");
  copy.hidden = !navigator.clipboard; // a browser gives it to safe addresses only
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    copy.textContent = "Copied";
  });
  const show = (program) => {
    text.textContent = program;
    copy.textContent = "Copy";
  };
  return { parts: [make("div", { className: "title" }, make("h4", {}, title), copy), text], show };
}

/** The type of a call's reply: the one of the request, if it replies in that too. */
function replyType({ operation }, body) {
  const types = Object.keys(operation.responses["200"].content);
  return types.includes(body?.type) ? body.type : types[0];
}

/** Send a request; return whether it is answered, its status with time and size, and the reply as text. */
async function answer(request) {
  const started = performance.now();
  try {
    const reply = await fetch(request.url, options(request));
    const content = await reply.blob();
    const time = (performance.now() - started).toFixed(1);
    const said = `${reply.status} ${reply.statusText}, ${time} ms, ${content.size.toLocaleString("en")} bytes`;
    return { ok: reply.ok, said, text: await readable(content) };
  } catch {
    return { ok: false, said: "The service cannot be reached, or the file cannot be read.", text: "" };
  }
}

async function readable(content) {
  if (content.type.startsWith("application/json")) return pretty(JSON.parse(await content.text()));
  return content.type.startsWith("text/") ? content.text() : `(${content.type})`;
}
