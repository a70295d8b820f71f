// Where x is made: a drawing pad for pictures, fields for anything else.
import { sheet } from "./data.js";
import { $, arrow, clamp, frame, made, picture, tr, within } from "./dom.js";
import { fixed } from "./maths.js";

export const MOST_FIELDS = 200;

export class Pad {
	#data; #changed; #begin; #canvas; #cursor; #at; #last; #tools;

	// `begin` is called before a change, `changed` while it goes on.
	constructor(place, data, changed, begin) {
		this.#data = data;
		this.#changed = changed;
		this.#begin = begin;
		this.#at = [data.height >> 1, data.width >> 1];
		this.#canvas = made("canvas", { className: "shown" });
		this.#cursor = made("i", { className: "cursor" });
		const label = `Drawing pad, ${data.height} by ${data.width}: arrows move, with Shift they paint; Space paints, Delete erases`;
		const pad = made("div", { className: "pad", tabIndex: 0, role: "application", "aria-label": label }, this.#canvas, this.#cursor);
		place.append(pad, this.#toolbar());
		pad.onkeydown = (event) => this.#key(event);
		this.#pointer(pad);
		this.#move(0, 0);
	}

	set(x) {
		this.x = [...x];
		this.#show();
	}

	#toolbar() {
		const data = this.#data;
		const width = clamp(Math.round(data.width / 12), 1, 6);
		this.#tools = {
			erase: made("input", { type: "checkbox" }),
			soft: made("input", { type: "checkbox", checked: !data.binary }),
			size: made("input", { type: "range", min: 1, max: 6, step: 0.5, value: width }),
			ink: made("input", { type: "color", value: "#e0a030" }),
		};
		const label = (name, words) => made("label", {}, this.#tools[name], ` ${words}`);
		const whole = (words, change) => made("button", {
			onclick: () => {
				this.#begin();
				this.x = this.x.map(change);
				this.#drawn();
			},
		}, words);
		const [low, high] = data.limits;
		const tools = [whole("Clear", () => low), whole("Invert", (v) => Number((low + high - v).toFixed(4))), label("erase", "Erase"), label("soft", "Soft")];
		if (data.channels === 3) tools.push(label("ink", "Ink"));
		tools.push(made("label", {}, "Brush ", this.#tools.size));
		return made("div", { className: "controls tools" }, ...tools);
	}

	#pointer(pad) {
		const { height, width } = this.#data;
		const at = (event) => within(pad, event, height, width);
		pad.onpointerdown = (event) => {
			if (event.button > 0) return;
			pad.setPointerCapture(event.pointerId);
			this.#begin();
			this.#last = at(event);
			this.#stroke(this.#last);
		};
		pad.onpointermove = (event) => this.#last && this.#stroke(at(event));
		pad.onpointerup = pad.onpointercancel = () => (this.#last = null);
	}

	#key(event) {
		const step = arrow(event.key);
		const erases = ["Delete", "Backspace"].includes(event.key);
		if (!step && !erases && event.key !== " ") return;
		event.preventDefault();
		if (step) this.#move(...step);
		if (step && !event.shiftKey) return;
		const [row, column] = this.#at;
		this.#begin();
		this.#dab(row + 0.5, column + 0.5, 0.6, erases);
		this.#drawn();
	}

	#move(down, right) {
		const { height, width } = this.#data;
		this.#at = [clamp(this.#at[0] + down, 0, height - 1), clamp(this.#at[1] + right, 0, width - 1)];
		frame(this.#cursor, this.#at, height, width);
	}

	#stroke([row, column]) {
		const [fromRow, fromColumn] = this.#last;
		const n = Math.max(1, Math.ceil(2 * Math.hypot(row - fromRow, column - fromColumn)));
		for (let i = 1; i <= n; i++) {
			const [y, x] = [fromRow + ((row - fromRow) * i) / n, fromColumn + ((column - fromColumn) * i) / n];
			this.#dab(y, x, this.#tools.size.valueAsNumber / 2 + 0.25, this.#tools.erase.checked);
		}
		this.#last = [row, column];
		this.#drawn();
	}

	// Values are those of the model's range: ink is its upper end, or the color chosen.
	#dab(row, column, radius, erases) {
		const { height, width, channels, limits: [low, high] } = this.#data;
		const ink = channels === 3 ? [1, 3, 5].map((i) => parseInt(this.#tools.ink.value.slice(i, i + 2), 16) / 255) : [1];
		for (let i = Math.max(0, Math.floor(row - radius)); i < Math.min(height, row + radius); i++) {
			for (let j = Math.max(0, Math.floor(column - radius)); j < Math.min(width, column + radius); j++) {
				const inside = radius + 0.5 - Math.hypot(i + 0.5 - row, j + 0.5 - column);
				const cover = this.#tools.soft.checked ? clamp(inside, 0, 1) : Number(inside > 0.5);
				for (let c = 0; c < channels; c++) {
					const k = (i * width + j) * channels + c;
					const target = erases ? low : low + ink[c] * (high - low);
					const mixed = this.x[k] + cover * (target - this.x[k]);
					if (mixed !== this.x[k]) this.x[k] = Number(mixed.toFixed(4));
				}
			}
		}
	}

	#show() {
		sheet(this.#canvas, this.#data, [this.x]);
	}

	#drawn() {
		this.#show();
		this.#changed();
	}
}

// A field for each value of a row, and what the model answers beside it.
export class Fields {
	#data; #body = made("tbody"); #plot; #odd = made("ul", { className: "note", "aria-live": "polite" });

	// `begin` is called before a change, `changed` after it.
	constructor(place, data, changed, begin) {
		const { cells, table: shown } = data;
		const canvas = picture("Plot of x");
		this.#data = data;
		this.#plot = () => shown || sheet(canvas, data, [this.x]);
		const of = cells ? made("abbr", { title: "The most probable category; of ordered ones, the mean rank" }, "E[x|z]") : "E[x|z]";
		const heads = [data.columns ? "column" : "d", "x", of, ...(data.kind === "gaussian" ? ["± σ"] : [])];
		const table = made("table", { className: shown ? "cells" : "" }, made("thead", {}, tr("th", heads)), this.#body);
		place.append(...(shown ? [] : [canvas]), made("div", { className: "scroll" }, table), this.#odd);
		this.#body.oninput = ({ target }) => {
			const value = target.value === "" ? null : Number(target.value);
			if (target.validity.badInput || (value === null ? !cells : !Number.isFinite(value))) return;
			begin();
			this.x[target.dataset.d] = value;
			this.#plot();
			changed();
		};
		for (let d = 0; d < Math.min(MOST_FIELDS, data.dim); d++) {
			const name = data.name(d);
			const field = cells?.field(d, name) ?? made("input", { type: "number", step: "any", "aria-label": `x ${name}` });
			field.dataset.d = d;
			this.#body.append(tr("td", [field, ...heads.slice(2).map(() => "")], name));
		}
	}

	set(x) {
		this.x = [...x];
		this.#body.querySelectorAll("[data-d]").forEach((field, d) => (field.value = x[d] ?? ""));
		this.#plot();
	}

	answer(mean, logVar) {
		[...this.#body.rows].forEach(({ cells }, d) => {
			const said = (v) => this.#data.table?.said(v, d) ?? fixed(v, 3);
			cells[2].textContent = said(mean[d]);
			if (logVar) cells[3].textContent = said(Math.exp(logVar[d] / 2));
		});
	}

	// Which cells are odd, and why; then of the row as a whole.
	mark([words, odd]) {
		const found = new Map(odd);
		[...this.#body.rows].forEach(({ cells: [name] }, d) => name.classList.toggle("odd", found.has(d)));
		const reason = ([d, why]) => made("li", {}, made("b", { className: "odd" }, this.#data.name(d)), `: ${why}`);
		this.#odd.replaceChildren(...odd.map(reason), ...(words ? [made("li", {}, words)] : []));
	}
}
