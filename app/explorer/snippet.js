// "As curl" and "as Python" for what a panel has just asked: shortened to look at, whole
// to copy.
import { address } from "./api.js";

const SHOWN = 12;
const $ = (id) => document.getElementById(id);

function written(value, most) {
  if (!Array.isArray(value)) return JSON.stringify(value);
  const limit = Array.isArray(value[0]) ? Math.min(most, 2) : most;
  const items = value.slice(0, most === Infinity ? undefined : limit).map((v) => written(v, most));
  if (items.length < value.length) items.push("…");
  return `[${items.join(", ")}]`;
}

function object(body, most) {
  const members = Object.entries(body).map(([k, v]) => `${JSON.stringify(k)}: ${written(v, most)}`);
  return `{${members.join(", ")}}`;
}

const curl = (calls, most) =>
  calls
    .map(([path, body]) =>
      [`curl ${address(path)} \\`, "  -H 'Content-Type: application/json' --data-binary @- <<'END'", object(body, most), "END"].join("\n"))
    .join("\n\n");

const LITERALS = { null: "None", true: "True", false: "False" };
const literal = (value, most) => LITERALS[value] ?? written(value, most);

function statement([path, body], most) {
  const { x, z, n, ...options } = body;
  const array = x ? "x" : z ? "z" : null;
  const given = Object.entries(options).filter(([, v]) => v !== null).map(([k, v]) => `${k}=${literal(v, most)}`);
  const result = { "/encode": "q", "/decode": "p", "/sample": "sample", "/elbo": "bound" }[path];
  const arguments_ = [array ?? String(n), ...given].join(", ");
  const lines = [`${result} = vae.${path.slice(1)}(${arguments_})`];
  if (array) lines.unshift(`${array} = ${written(body[array], most)}`);
  return lines;
}

function python(calls, most, ending) {
  const lines = calls.flatMap((one) => statement(one, most));
  const body = [...new Set(lines), ...ending].map((line) => `    ${line}`);
  const imports = ending.some((line) => line.includes("np.")) ? ["import numpy as np", ""] : [];
  return [...imports, "from client import Client", "", `with Client("${address("/").replace(/\/$/, "")}") as vae:`, ...body].join("\n");
}

function open(title, write) {
  $("code-title").textContent = title;
  const [shown, whole] = [write(SHOWN), write(Infinity)];
  $("code-text").textContent = shown;
  $("code-note").textContent = shown === whole ? "" : `Shortened here; ${whole.length.toLocaleString("en")} characters are copied.`;
  $("code-copy").onclick = async () => {
    await copy(whole);
    $("code-note").textContent = "Copied.";
  };
  $("code").showModal();
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // the clipboard needs https or localhost
  area.value = text;
  $("code").append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

// `asked()` gives [[path, body], ...] and, for Python, lines that end the program.
export function attach(panel, asked) {
  const foot = document.createElement("p");
  foot.className = "code-links";
  for (const [name, write] of [["curl", curl], ["Python", python]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `as ${name}`;
    button.onclick = () => {
      const { calls, ending = ["print(p.mean.shape)"], python: own } = asked();
      const source = name === "Python" && own ? own : calls;
      open(`${panel.querySelector("h2").textContent}, as ${name}`, (most) => write(source, most, ending));
    };
    foot.append(button);
  }
  panel.append(foot);
}

export function start() {
  $("code-close").onclick = () => $("code").close();
  $("code").onclick = (event) => event.target === $("code") && $("code").close();
}
