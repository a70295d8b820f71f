// Calls of the served API, and what happens when they fail or are overtaken.
import { made } from "./dom.js";

export class Problem extends Error {
	constructor(document) {
		const faults = (document.errors ?? []).map((f) => `${f.pointer}: ${f.detail}`);
		super([document.detail, ...faults].filter(Boolean).join(" — "));
		this.status = document.status;
		this.title = document.title;
		this.requestId = document.request_id;
	}
}

// The page may stand behind a prefix, so every path is relative to it.
export const address = (path) => new URL(path.slice(1), document.baseURI).href;

export async function call(path, body, signal) {
	const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
	let answer;
	try {
		answer = await fetch(address(path), { ...(body && post), signal });
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new Problem({ title: "No answer", detail: "the service cannot be reached" });
	}
	const document = await answer.json().catch((error) => {
		if (error.name === "AbortError") throw error;
		throw new Problem({ title: "No answer in JSON", status: answer.status });
	});
	if (!answer.ok) throw new Problem(document);
	return document;
}

export function tell(element, error) {
	element.hidden = !error;
	if (!error) return;
	const head = [error.status, error.title ?? error.name].filter(Boolean).join(" ");
	element.replaceChildren(made("b", {}, head), ` ${error.message}`);
	if (error.requestId) element.append(" Request ", made("code", {}, error.requestId));
}

// Work that is asked for more often than it can be done: the latest wins, and the fetch
// it overtakes is aborted. It waits as long as its last answer took, so that while
// somebody draws there are answers to see, however slow the way.
export class Latest {
	#work; #panel; #timer; #controller; #wait;

	constructor(panel, work, wait = 30) {
		this.#panel = panel;
		this.#work = work;
		this.#wait = this.least = wait;
	}

	ask = () => (this.#timer ??= setTimeout(() => this.#run(), this.#wait));

	async #run() {
		this.#timer = undefined;
		this.#controller?.abort();
		const controller = (this.#controller = new AbortController());
		const start = performance.now();
		this.#panel.setAttribute("aria-busy", "true");
		let failure;
		try {
			await this.#work(controller.signal);
		} catch (error) {
			if (error.name === "AbortError") return;
			failure = error;
		}
		if (controller !== this.#controller) return;
		this.#wait = Math.min(500, Math.max(this.least, 1.2 * (performance.now() - start)));
		this.#panel.removeAttribute("aria-busy");
		tell(this.#panel.querySelector(".error"), failure);
	}
}
