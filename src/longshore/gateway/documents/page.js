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
  const row = make("tr", {},
    make("td", {}, make("code", { text: parameter.name }), make("div", { class: "says", text: parameter.in + required })),
    make("td", {}, input, make("div", { class: "text", text: parameter.description || "" })));
  return { parameter, schema, input, row };
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
  if (body) headers.set("Content-Type", body.type);
  const root = location.pathname.replace(/\/docs\/?$/, "");
  const asked = query.toString();
  return [root + path.split("#")[0] + (asked ? `?${asked}` : ""),
    { method: verb.toUpperCase(), headers, body: body && body.text ? body.text : undefined }];
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
  const fields = (operation.parameters || []).map((one) => parameterRow(spec, one));
  const content = Object.entries((operation.requestBody || {}).content || {});
  const output = make("pre", { "aria-live": "polite" });
  const stop = make("button", { type: "button", text: "Stop", hidden: "" });
  const box = make("form", {}, make("table", {}, ...fields.map(({ row }) => row)));
  let area = null;
  if (content.length) {
    const [type, { schema }] = content[0];
    area = make("textarea", { "aria-label": `body, ${type}` });
    area.value = type.includes("json") ? JSON.stringify(example(spec, schema || {}), null, 2) : "";
    box.append(make("h3", { text: `Body: ${type}` }), area, schemaView(spec, schema || {}));
  }
  box.append(make("p", {}, make("button", { text: "Try it" }), " ", stop));
  box.addEventListener("submit", async (event) => {
    event.preventDefault();
    const leaving = new AbortController();
    stop.hidden = false;
    stop.onclick = () => leaving.abort();
    try {
      const body = area && area.value.trim() ? { text: area.value, type: content[0][0] } : null;
      const [url, request] = requestOf(path, verb, fields, body);
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

function operationView(spec, path, verb, operation) {
  const box = make("div");
  const view = make("details", { class: "operation", id: operation.operationId || `${verb}${path}` },
    make("summary", {}, make("span", { class: "verb", text: verb.toUpperCase() }),
      make("span", { class: "path", text: path.split("#")[0] }),
      make("span", { class: "says", text: operation.summary || "" })), box);
  view.dataset.words = `${verb} ${path} ${operation.operationId} ${operation.summary}`.toLowerCase();
  view.addEventListener("toggle", () => {
    box.append(make("p", { class: "text", text: operation.description || "" }), trial(spec, path, verb, operation));
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
      if (item[verb]) groups.get(item[verb].tags[0]).append(operationView(spec, path, verb, item[verb]));
    }
  }
  byId("operations").append(...groups.values());
  byId("services").append(...[...groups.keys()].map((name) =>
    make("a", { href: `#${name}`, text: name.replace("longshore.v1.", ""), title: name })));
  byId("filter").addEventListener("input", filter);
}

begin().catch((error) => { byId("about").textContent = `The document cannot be read: ${error}`; });
