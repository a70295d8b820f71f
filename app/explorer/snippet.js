// What a panel has requested, as curl and as Python, and what it shows, as files.
import { address, call, report } from "./api.js";
import { $, count, made, save } from "./dom.js";

const SHOWN = 12;

const DATA = /\b(p|filled)\.(mean|samples)/g;
const PYTHON = { null: "None", true: "True", false: "False" };

// A value in JSON, or with the names of Python.
function written(value, most, names = {}) {
	if (value === null || typeof value === "boolean") return names[value] ?? String(value);
	if (typeof value !== "object") return JSON.stringify(value);
	const isList = Array.isArray(value);
	const keys = Object.keys(value);
	const limit = most < Infinity && Array.isArray(value[0]) ? 2 : most;
	const items = keys.slice(0, limit).map((key) => (isList ? "" : `${JSON.stringify(key)}: `) + written(value[key], most, names));
	if (items.length < keys.length) items.push("…");
	return isList ? `[${items.join(", ")}]` : `{${items.join(", ")}}`;
}

function curl(calls, most) {
	const one = ([path, body]) => {
		const members = Object.entries(body).map(([k, v]) => `"${k}": ${written(v, most)}`);
		const head = `curl ${address(path)} \\\n  -H 'Content-Type: application/json' --data-binary @- <<'END'`;
		return `${head}\n{${members.join(", ")}}\nEND`;
	};
	return calls.map(one).join("\n\n");
}

function assigned([name, values], most) {
	const text = written(values, most, PYTHON);
	return `${name} = ${values[0]?.constructor === Object ? `pd.DataFrame(${text})` : text}`;
}

function statement([path, body], most) {
	const arrays = Object.entries(body).filter(([, v]) => Array.isArray(v));
	const given = Object.entries(body).map(([k, v]) => `${k}=${Array.isArray(v) ? k : JSON.stringify(v)}`);
	const result = { "/encode": "q", "/decode": "p", "/sample": "sample", "/elbo": "bound", "/impute": "filled" }[path] ?? body.path;
	return [...arrays.map((one) => assigned(one, most)), `${result} = vae.${path.slice(1)}(${given.join(", ")})`];
}

function python(calls, most, ending, cells) {
	const lines = calls.flatMap((one) => statement(one, most));
	const last = ending.map((line) => (Array.isArray(line) ? assigned(line, most) : cells ? line.replace(DATA, "vae.model().frame($&, pd.DataFrame)") : line));
	const body = [...new Set(lines), ...last].map((line) => `    ${line}`);
	const uses = (library) => [...lines, ...last].some((line) => line.includes(library));
	const imports = [...(uses("np.") ? ["import numpy as np"] : []), ...(uses("pd.") ? ["import pandas as pd"] : [])];
	return [...imports, ...(imports.length ? [""] : []), "from vae_client import Client", "", `with Client("${address("/").replace(/\/$/, "")}") as vae:`, ...body].join("\n");
}

function open(title, write) {
	$("code-title").textContent = title;
	const [shown, whole] = [write(SHOWN), write(Infinity)];
	$("code-text").textContent = shown;
	$("code-note").textContent = shown === whole ? "" : `Shortened; ${count(whole.length)} characters are copied.`;
	$("code-copy").onclick = async () => {
		await copy(whole);
		$("code-note").textContent = "Copied.";
	};
	$("code").onclick = ({ target }) => ["code", "code-close"].includes(target.id) && $("code").close();
	$("code").showModal();
}

async function copy(text) {
	if (navigator.clipboard) return navigator.clipboard.writeText(text);
	const area = made("textarea", { value: text }); // the clipboard needs https or localhost
	$("code").append(area);
	area.select();
	document.execCommand("copy");
	area.remove();
}

// The pictures of a panel side by side, without the strip of examples.
function joined(panel) {
	const shown = [...panel.querySelectorAll("canvas")].filter((canvas) => canvas.width && canvas.checkVisibility() && !canvas.closest(".strip"));
	const columns = shown.length % 8 ? Math.min(shown.length, 9) : 8;
	const [width, height] = ["width", "height"].map((side) => Math.max(...shown.map((canvas) => canvas[side])) + 8);
	const sheet = made("canvas", { width: columns * width, height: Math.ceil(shown.length / columns) * height });
	const context = sheet.getContext("2d");
	shown.forEach((canvas, i) => context.drawImage(canvas, (i % columns) * width + 4, Math.floor(i / columns) * height + 4));
	return new Promise((resolve) => sheet.toBlob(resolve, "image/png"));
}

// Requests and responses: with the same seeds they are those that are shown.
async function exchanged(calls) {
	const responses = await Promise.all(calls.map(([path, body]) => call(path, body)));
	const pairs = calls.map(([path, request], i) => ({ path, request, response: responses[i] }));
	return new Blob([JSON.stringify(pairs, null, 1)], { type: "application/json" });
}

// `asked()` gives [[path, body], ...] and, for Python, lines that end the program. Rows of
// cells are written by name.
export function attach(panel, asked, cells) {
	const named = ([path, body]) => [path, cells && body.x ? cells.named(body) : body];
	const title = panel.querySelector("h2").textContent;
	const buttons = [["curl", curl], ["Python", python]].map(([name, write]) => {
		const onclick = () => {
			const { calls, ending = ["print(p.mean)"], python: own = calls } = asked();
			open(`${title} – ${name}`, (most) => write((name === "Python" ? own : calls).map(named), most, ending, cells));
		};
		return made("button", { onclick }, `as ${name}`);
	});
	const files = [["JSON", () => exchanged(asked().calls)], ["PNG", () => joined(panel)]].map(([name, blob]) => {
		const write = async () => {
			const failure = await blob().then((made) => save(`${panel.id}.${name.toLowerCase()}`, made), (error) => error);
			report(panel.querySelector(".error"), failure, write);
		};
		return made("button", { onclick: write, title: `Download as ${name}` }, name);
	});
	panel.append(made("p", { className: "links" }, ...buttons, ...(panel.querySelector("canvas") ? files : files.slice(0, 1))));
}
