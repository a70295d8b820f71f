// Calls of the served API, and what happens when they fail or newer ones replace them.
import { made } from "./dom.js";

class Problem extends Error {
	constructor(document) {
		super(document.title);
		Object.assign(this, document);
	}
}

// The page may stand behind a prefix, so every path is relative to it.
export const address = (path) => new URL(path.slice(1), document.baseURI).href;

// The version of the model that the page shows. Answers of another model are not shown:
// its x and z may have other shapes.
let version;

function expectSameModel(answer) {
	const now = answer.headers.get("X-Model-Version");
	version ??= now;
	if (!now || now === version) return;
	document.dispatchEvent(new Event("othermodel"));
	throw new Problem({ title: "Another model is served now", detail: "reload the page to see it" });
}

async function answered(path, body, signal, accept, read) {
	const headers = { Accept: accept, ...(body && { "Content-Type": "application/json" }) };
	const post = body && { method: "POST", body: JSON.stringify(body) };
	try {
		const answer = await fetch(address(path), { ...post, headers, signal });
		expectSameModel(answer);
		if (answer.ok) return await read(answer);
		throw new Problem(await answer.json());
	} catch (error) {
		if (error instanceof Problem || error.name === "AbortError") throw error;
		throw new Problem({ title: "No answer", detail: "the service cannot be reached. Is it running?" });
	}
}

export const call = (path, body, signal) => answered(path, body, signal, "application/json", (answer) => answer.json());
export const csv = (path, body, signal) => answered(path, body, signal, "text/csv", (answer) => answer.blob());

// Show an error, or hide the last one; `retry` is what the button does.
export function report(element, error, retry) {
	element.hidden = !error;
	if (!error) return;
	const { status, title = error.message, detail, errors = [], request_id: id } = error;
	const words = errors.map((fault) => `${fault.pointer}: ${fault.detail}`).join(" — ") || detail;
	element.replaceChildren(made("b", {}, [status, title].filter(Boolean).join(" ")), words ? `: ${words}` : "");
	if (id) element.append(" – request ", made("code", {}, id));
	if (retry) element.append(" ", made("button", { onclick: retry }, "Try again"));
}

const PATIENCE = 1500;

// Work that is requested more often than it can be done. One at a time: the newest request
// is next, with the inputs of that moment, after a rest. Slow ones are aborted.
export class Latest {
	#work; #panel; #rest; #timer; #controller; #free = 0;

	constructor(panel, work, rest = 60) {
		this.#panel = panel;
		this.#work = work;
		this.#rest = rest;
	}

	ask = () => {
		if (this.#timer) return;
		this.#busy(1);
		this.#plan();
	};

	#plan() {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#run(), this.#free - performance.now());
	}

	#busy(n) {
		this.#panel.asked = (this.#panel.asked ?? 0) + n;
		this.#panel.ariaBusy = this.#panel.asked > 0;
	}

	async #run() {
		this.#timer = undefined;
		this.#controller?.abort();
		const controller = (this.#controller = new AbortController());
		this.#free = performance.now() + PATIENCE;
		const failure = await this.#work(controller.signal).catch((error) => error);
		this.#busy(-1);
		if (controller !== this.#controller) return;
		this.#free = performance.now() + this.#rest;
		if (this.#timer) this.#plan();
		report(this.#panel.querySelector(".error"), failure, this.ask);
	}
}
