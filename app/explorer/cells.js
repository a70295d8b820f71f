// The cells of a table of mixed kinds: what their codes stand for, in words and
// in fields. A missing cell is null.
import { clamp, made, tr } from "./dom.js";
import { fixed } from "./maths.js";

const MOST_SAID = 16; // columns of a row that is shown by itself

export class Cells {
	constructor(columns) {
		this.columns = columns;
	}

	#isUnseen(code, d) { return code !== null && code === this.columns[d].categories?.length; }

	#decimals(d) { return clamp(Math.ceil(-Math.log10(this.columns[d].resolution) - 1e-9), 0, 100); }

	// A code that a number of the column can have; `null` stays so.
	#whole(code, d) {
		if (code === null) return null;
		return this.columns[d].categories ? Math.round(code) : Number(code.toFixed(this.#decimals(d)));
	}

	whole(row) { return row.map((code, d) => this.#whole(code, d)); }

	// A cell as it is in records: what is sent is what was written.
	cell(code, d) { return code === null ? null : (this.columns[d].categories?.[code] ?? code); }

	said(code, d) {
		if (code === null) return "missing";
		if (!this.columns[d].categories) return fixed(code, this.#decimals(d));
		return this.#isUnseen(code, d) ? "unseen" : String(this.cell(Math.round(code), d)).replace(/^-(?=\d)/, "−");
	}

	// A row as lines of a table, one for a cell.
	lines(row) {
		const lines = row.slice(0, MOST_SAID).map((code, d) => tr("td", [this.said(code, d)], this.columns[d].label));
		return [...lines, ...(row.length > MOST_SAID ? [tr("td", ["…"], "…")] : [])];
	}

	isUnordered(d) { return Boolean(this.columns[d].categories) && this.columns[d].kind !== "ordinal"; }

	// The best guess of a cell, and how sure it is.
	guessed(mean, variance, ends, d) {
		const said = this.said(mean, d);
		if (this.isUnordered(d)) return `${said}, ${Math.round(100 * (1 - variance))} %`;
		return `${said} (${ends.map((end) => this.said(end, d)).join(" to ")})`;
	}

	// A request with rows by name, as people write them: they need no mask. An unseen
	// category has no name, so that its rows stay codes.
	named(body) {
		if (body.x.some((row) => row.some((code, d) => this.#isUnseen(code, d)))) return body;
		const { mask, ...rest } = body;
		const record = (row) => Object.fromEntries(row.map((code, d) => [this.columns[d].name, this.cell(code, d)]));
		return { ...rest, x: body.x.map(record) };
	}

	// Rows as CSV. An unseen category has no name, and is empty as a missing one.
	csv(rows) {
		const quoted = (cell) => (/[",\r\n]|^$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
		const cell = (code, d) => (code === null || this.#isUnseen(code, d) ? "" : quoted(String(this.cell(code, d))));
		const lines = [this.columns.map(({ name }) => quoted(name)), ...rows.map((row) => this.whole(row).map(cell))];
		return lines.map((line) => `${line.join()}\r\n`).join("");
	}

	accepts(row) {
		return row.every((code, d) => {
			const { kind, categories } = this.columns[d];
			if (code === null || !categories) return code === null || Number.isFinite(code);
			return Number.isInteger(code) && code >= 0 && code < categories.length + (kind === "categorical");
		});
	}

	// What a cell is chosen or written in.
	field(d, name) {
		const { kind, categories, resolution } = this.columns[d];
		const label = { "aria-label": `x ${name}` };
		if (!categories) return made("input", { ...label, type: "number", step: resolution, placeholder: "missing" });
		const options = categories.map((category, code) => new Option(String(category), code));
		const unseen = kind === "categorical" ? [new Option("unseen", categories.length)] : [];
		return made("select", label, new Option("missing", ""), ...options, ...unseen);
	}
}
