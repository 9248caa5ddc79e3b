// A call of the OpenAPI document, filled in: as a request to send, as a `curl` line and as Python.

const JSON_TYPE = "application/json";
const BINARY = "application/octet-stream";
const FORM = "multipart/form-data";
const PIXELS = /^( *\d{1,3},){9,} *\d{1,3}$/; // a row of them: its numbers stand in columns

/** Follow a `$ref` of the document. */
export function resolve(described, part) {
  const path = part.$ref?.slice(2).split("/") ?? [];
  return path.length ? path.reduce((place, name) => place[name], described) : part;
}

/**
 * The examples of a call's body: {name, title, type, text}, or {name, title, type, address, file} where it is a file,
 * which the document has as a data URL in `externalValue`.
 */
export function bodies(described, operation) {
  return Object.entries(operation.requestBody?.content ?? {}).flatMap(([type, { examples = {} }]) =>
    Object.entries(examples).map(([name, example]) => {
      const { summary, value, externalValue } = resolve(described, example);
      const body = { name, type, title: `${summary} (${type})` };
      if (!externalValue) return { ...body, text: pretty(value) };
      return { ...body, address: externalValue, file: fileOf(externalValue) };
    }),
  );
}

function fileOf(address) {
  const [, type, content] = address.match(/^data:(.*?);base64,(.*)$/);
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  return new File([bytes], type === "image/png" ? "digit.png" : "digit.gray", { type });
}

/** JSON for people: lists of numbers stay on one line. */
export function pretty(value) {
  return JSON.stringify(value, null, 1).replace(/\[[\s\d.,e+-]+\]/g, (list) => {
    const numbers = list.slice(1, -1).trim().split(/,\s*/);
    const columns = numbers.map((number) => number.padStart(3)).join(",");
    return `[${PIXELS.test(columns) ? columns : numbers.join(", ")}]`;
  });
}

/**
 * The request of a call: {method, url, headers, body?, files?, form?}. `body` is text; `files` are sent as they are,
 * or in a form.
 *
 * @param {{method: string, path: string, parameters: object[]}} call
 * @param {string[]} values of the parameters; an empty one is left out
 * @param {{type: string, text?: string, files?: File[]}} [body]
 */
export function fill({ method, path, parameters }, values, body) {
  const headers = {};
  const query = new URLSearchParams();
  parameters.forEach(({ name, in: place, schema }, number) => {
    const value = values[number];
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value === "" || value === String(schema.default)) return;
    else if (place === "query") query.append(name, value);
    else headers[name] = value;
  });
  const url = new URL(path.slice(1) || ".", document.baseURI); // below the path that the service is offered at
  url.search = query;
  const request = { method: method.toUpperCase(), url: url.href, headers };
  if (!body) return request;
  if (body.type === FORM) return { ...request, files: body.files, form: true };
  headers["Content-Type"] = body.files?.[0].type.startsWith("image/") ? body.files[0].type : body.type;
  return { ...request, files: body.files, body: body.text };
}

/** What `fetch` takes besides the address. */
export function options({ method, headers, body, files, form }) {
  if (!form) return { method, headers, body: files?.[0] ?? body };
  const content = new FormData();
  files.forEach((file) => content.append("file", file));
  return { method, headers, body: content };
}

/** A `curl` line; a reply of that type that is not text becomes a file. */
export function asCurl({ method, url, headers, body, files, form }, replyType) {
  const words = ["curl", quote(url)];
  if (method === "POST" && !body && !files) words.push("-X POST");
  for (const [name, value] of Object.entries(headers)) words.push(`-H ${quote(`${name}: ${value}`)}`);
  if (form) words.push(...files.map((file) => `-F ${quote(`file=@${file.name}`)}`));
  else if (files) words.push(`--data-binary ${quote(`@${files[0].name}`)}`);
  else if (body) words.push(`-d ${quote(compact(body))}`);
  if (replyType === BINARY) words.push("-o reply");
  return words.join(" ");
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`; // for the shell

function compact(body) {
  try {
    return JSON.stringify(JSON.parse(body));
  } catch {
    return body; // it is sent as it is, and the service says what is wrong
  }
}

/** A program with `requests` that prints the reply. */
export function asPython({ method, url, headers, body, files, form }, replyType) {
  const rest = { ...headers };
  const values = [];
  if (form) values.push(`files=[${files.map((file) => `("file", ${opened(file)})`).join(", ")}]`);
  else if (files) values.push(`data=${opened(files[0])}`);
  else if (body) values.push(jsonOrText(body, rest));
  if (Object.keys(rest).length > 0) values.push(`headers=${literal(rest)}`);
  const given = values.map((value) => `, ${value}`).join("");
  const answer = { [JSON_TYPE]: "reply.json()", [BINARY]: "reply.content" }[replyType] ?? "reply.text";
  return `import requests\n\nreply = requests.${method.toLowerCase()}("${url}"${given})\nprint(${answer})`;
}

const opened = ({ name }) => `open(${JSON.stringify(name)}, "rb")`;

function jsonOrText(body, headers) {
  try {
    const value = literal(JSON.parse(body));
    if (headers["Content-Type"] === JSON_TYPE) delete headers["Content-Type"]; // `json=` sets it
    return `json=${value}`;
  } catch {
    return `data=${JSON.stringify(body)}`;
  }
}

/** JSON as Python writes it. */
function literal(value) {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${literal(each)}`);
  return `{${entries.join(", ")}}`;
}
