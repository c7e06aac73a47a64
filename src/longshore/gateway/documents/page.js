"use strict";
// Reads openapi.json and shows it. Whatever the document says is set as text, never as markup.

const VERBS = ["get", "post", "put", "patch", "delete", "head", "options"];
const byId = (id) => document.getElementById(id);

function make(tag, options = {}, ...inside) {
  const { text, ...attributes } = options;
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside.filter(Boolean));
  return made;
}

function resolve(spec, value) {
  if (!value || !value.$ref) return value || {};
  const target = value.$ref.slice(2).split("/");
  const found = target.reduce((place, name) => (place || {})[decodeURIComponent(name)], spec);
  return { ...found, ...value };
}

function typeName(spec, schema) {
  const name = schema.$ref ? schema.$ref.split("/").pop().split(".").pop() : "";
  const found = resolve(spec, schema);
  if (found.type === "array") return `${typeName(spec, found.items || {})}[]`;
  if (name) return name;
  return [found.type, found.format].filter(Boolean).join(" ") || "any";
}

// Types are opened when they are looked at: they may contain themselves.
function schemaView(spec, schema) {
  const found = resolve(spec, schema);
  if (found.type === "array") return schemaView(spec, found.items || {});
  const rows = Object.entries(found.properties || {});
  const box = make("div", { class: "fields" });
  if (found.enum) box.append(make("p", { class: "text", text: found.description || found.enum.join(", ") }));
  for (const [name, field] of rows) {
    const inner = resolve(spec, field.type === "array" ? field.items : field);
    const required = (found.required || []).includes(name) ? ", required" : "";
    const title = make("span", {}, make("code", { text: name }),
      make("span", { class: "says", text: typeName(spec, field) + required }));
    const said = make("div", { class: "text", text: field.description || "" });
    if (!inner.properties && !inner.enum) {
      box.append(make("p", {}, title, said));
      continue;
    }
    const open = make("details", {}, make("summary", {}, title), said);
    open.addEventListener("toggle", () => open.append(schemaView(spec, inner)), { once: true });
    box.append(open);
  }
  return box;
}

function example(spec, schema, depth = 0) {
  const found = resolve(spec, schema);
  if (found.example !== undefined) return found.example;
  if (found.examples && found.examples.length) return found.examples[0];
  if (found.enum) return found.enum[Math.min(1, found.enum.length - 1)];
  if (found.type === "array") return depth > 4 ? [] : [example(spec, found.items || {}, depth + 1)];
  if (found.properties) {
    const made = {};
    for (const [name, field] of Object.entries(found.properties)) {
      if ((found.required || []).includes(name) && depth < 5) made[name] = example(spec, field, depth + 1);
    }
    return made;
  }
  return { string: "", integer: 0, number: 0, boolean: false, object: {} }[found.type] ?? null;
}

function parameterRow(spec, given) {
  const parameter = resolve(spec, given);
  const schema = resolve(spec, parameter.schema);
  const choices = schema.enum || (schema.type === "boolean" ? ["true", "false"] : null);
  const input = choices
    ? make("select", {}, make("option", { value: "", text: "" }), ...choices.map((one) => make("option", { text: one })))
    : make("input", { placeholder: schema.type === "array" ? "one, another" : "" });
  const required = parameter.required ? ", required" : "";
  input.required = parameter.in === "path";
  const row = make("tr", {},
    make("td", {}, make("code", { text: parameter.name }), make("div", { class: "says", text: parameter.in + required })),
    make("td", {}, input, make("div", { class: "text", text: parameter.description || "" })));
  return { parameter, schema, input, row };
}

const FORM = "application/x-www-form-urlencoded";
const PARTS = "multipart/form-data";

// What is written of a body, and how it is sent. Browsers name the type of forms themselves: it
// has the mark that ends their parts.
function bodyOf(spec, type, schema) {
  const isForm = type === FORM || type === PARTS;
  const area = make("textarea", { "aria-label": `body, ${type}`, placeholder: isForm ? "name=value, one a line" : "" });
  if (type.includes("json")) area.value = JSON.stringify(example(spec, schema), null, 2);
  if (isForm) area.value = Object.keys(resolve(spec, schema).properties || {}).map((name) => `${name}=\n`).join("");
  const file = make("input", { type: "file", "aria-label": "file" });
  const field = make("input", { placeholder: "its field", "aria-label": "field of the file" });
  const withFile = type === PARTS || type === "application/octet-stream";
  const box = make("div", {}, make("h3", { text: `Body: ${type}` }), area,
    withFile && make("p", {}, "or a file: ", file, " ", type === PARTS && field), schemaView(spec, schema));
  const read = () => {
    const chosen = file.files[0];
    const pairs = area.value.split("\n").map((line) => line.split(/=(.*)/s)).filter((pair) => pair.length > 1);
    if (type === FORM) return { content: new URLSearchParams(pairs.map(([name, value]) => [name.trim(), value])) };
    if (type !== PARTS) return { type, content: chosen || area.value.trim() ? chosen || area.value : undefined };
    const form = new FormData();
    for (const [name, value] of pairs) form.append(name.trim(), value);
    if (chosen) form.append(field.value || "file", chosen);
    return { content: [...form.keys()].length ? form : undefined };
  };
  return { box, read };
}

// Answers that there are in several kinds are asked for by what is accepted.
function acceptOf(operation) {
  const kinds = Object.entries(operation.responses || {}).filter(([status]) => status.startsWith("2"))
    .flatMap(([, answer]) => Object.keys(answer.content || {}));
  return kinds.length > 1 ? { name: "Accept", in: "header", schema: { enum: kinds } } : null;
}

// Where an operation is that is not where this page is; empty: here.
function elsewhere(item) {
  const [server] = item.servers || [];
  if (!server) return "";
  const url = new URL(server.url.replace("{host}", location.hostname), location.href);
  return url.origin === location.origin ? "" : url.origin;
}

function requestOf(path, verb, fields, body) {
  const query = new URLSearchParams();
  const headers = new Headers();
  for (const { parameter, schema, input } of fields) {
    const value = input.value.trim();
    if (!value && parameter.in !== "path") continue;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (parameter.in === "header") headers.set(parameter.name, value);
    else if (schema.type === "array") value.split(",").forEach((one) => query.append(parameter.name, one.trim()));
    else query.append(parameter.name, value);
  }
  const authorization = byId("authorization").value.trim();
  const tenant = byId("tenant").value.trim();
  if (authorization && !headers.has("Authorization")) headers.set("Authorization", authorization);
  if (tenant && !headers.has("X-Tenant-Id")) headers.set("X-Tenant-Id", tenant);
  if (body && body.type && body.content) headers.set("Content-Type", body.type);
  const root = location.pathname.replace(/\/docs\/?$/, "");
  const asked = query.toString();
  return [root + path.split("#")[0] + (asked ? `?${asked}` : ""),
    { method: verb.toUpperCase(), headers, body: body ? body.content : undefined }];
}

async function show(answer, output) {
  const head = [`${answer.status} ${answer.statusText}`];
  answer.headers.forEach((value, name) => head.push(`${name}: ${value}`));
  output.textContent = `${head.join("\n")}\n\n`;
  const reader = answer.body ? answer.body.pipeThrough(new TextDecoderStream()).getReader() : null;
  let text = "";
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    output.append(value);
  }
  try {
    output.textContent = `${head.join("\n")}\n\n${JSON.stringify(JSON.parse(text), null, 2)}`;
  } catch { /* It is no single value of JSON, and is shown as it came. */ }
}

function trial(spec, path, verb, operation) {
  const parameters = [...(operation.parameters || []), acceptOf(operation)].filter(Boolean);
  const fields = parameters.map((one) => parameterRow(spec, one));
  const [type, media] = Object.entries((operation.requestBody || {}).content || {})[0] || [];
  const body = type && verb !== "get" ? bodyOf(spec, type, media.schema || {}) : null;
  const output = make("pre", { "aria-live": "polite" });
  const stop = make("button", { type: "button", text: "Stop", hidden: "" });
  const box = make("form", {}, make("table", {}, ...fields.map(({ row }) => row)));
  if (body) box.append(body.box);
  if (type && !body) box.append(make("p", { class: "says", text: "Browsers send no body with GET; other clients may." }));
  box.append(make("p", {}, make("button", { text: "Try it" }), " ", stop));
  box.addEventListener("submit", async (event) => {
    event.preventDefault();
    const leaving = new AbortController();
    stop.hidden = false;
    stop.onclick = () => leaving.abort();
    try {
      const [url, request] = requestOf(path, verb, fields, body && body.read());
      await show(await fetch(url, { ...request, credentials: "omit", signal: leaving.signal }), output);
    } catch (error) {
      output.append(`\n${error}`);
    } finally {
      stop.hidden = true;
    }
  });
  box.append(output);
  return box;
}

function operationView(spec, path, verb, item) {
  const operation = item[verb];
  const place = elsewhere(item);
  const box = make("div");
  const view = make("details", { class: "operation", id: operation.operationId || `${verb}${path}` },
    make("summary", {}, make("span", { class: "verb", text: verb.toUpperCase() }),
      make("span", { class: "path", text: path.split("#")[0] }),
      make("span", { class: "says", text: operation.summary || "" })), box);
  view.dataset.words = `${verb} ${path} ${operation.operationId} ${operation.summary}`.toLowerCase();
  view.addEventListener("toggle", () => {
    box.append(make("p", { class: "text", text: operation.description || "" }), place
      ? make("p", { class: "says", text: `It is at ${place}, which this page may not ask.` })
      : trial(spec, path, verb, operation));
    for (const [status, given] of Object.entries(operation.responses || {})) {
      const answer = resolve(spec, given);
      const [type, media] = Object.entries(answer.content || {})[0] || [];
      const open = make("details", {}, make("summary", { text: `Answer ${status}${type ? `: ${type}` : ""}` }),
        make("p", { class: "text", text: answer.description || "" }));
      if (media) open.addEventListener("toggle", () => open.append(schemaView(spec, media.schema || {})), { once: true });
      box.append(open);
    }
  }, { once: true });
  return view;
}

function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const one of document.querySelectorAll("details.operation")) {
    one.hidden = !words.every((word) => one.dataset.words.includes(word));
  }
}

async function begin() {
  const spec = await (await fetch("openapi.json")).json();
  byId("title").textContent = `${spec.info.title} ${spec.info.version}`;
  const about = byId("about");
  about.className = "text";
  about.textContent = spec.info.description;
  const groups = new Map(spec.tags.map((tag) => [tag.name, make("section", { id: tag.name },
    make("h2", { text: tag.name }), make("p", { class: "text", text: tag.description || "" }))]));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const verb of VERBS) {
      if (item[verb]) groups.get(item[verb].tags[0]).append(operationView(spec, path, verb, item));
    }
  }
  byId("operations").append(...groups.values());
  byId("services").append(...[...groups.keys()].map((name) =>
    make("a", { href: `#${name}`, text: name.replace("longshore.v1.", ""), title: name })));
  byId("filter").addEventListener("input", filter);
}

begin().catch((error) => { byId("about").textContent = `The document cannot be read: ${error}`; });
