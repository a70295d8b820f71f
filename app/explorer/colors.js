// The colors of examples on the map: by their labels, or by a column of the table.
import { $, clamp, made } from "./dom.js";

const MOST_NAMED = 12;

const hue = (i, n) => `oklch(${i % 2 ? 0.6 : 0.75} .13 ${20 + (360 * i) / n})`;
const ramp = (t) => `oklch(${0.5 + 0.32 * t} .14 ${290 - 200 * t})`;
const entry = (words, background, className = "") => made("li", {}, made("i", { className, style: `background: ${background}` }), words);

export function offer({ labels, data }) {
	const names = data.table?.columns.map(({ label }) => label) ?? [];
	$("color").append(...(labels ? [new Option("label", "label")] : []), ...names.map((name, d) => new Option(name, d)));
	if (data.table) $("color").value = 0;
	$("color-field").hidden = $("color").length < 2;
}

// The color of a row's value, those of the examples, and what the colors stand for.
export function colors({ labels, reference, data }) {
	const by = $("color").value || "label";
	const values = by === "label" ? (labels ?? reference.map(() => 0)) : reference.map((row) => row[by]);
	const said = (v) => (by === "label" ? String(v) : data.table.said(v, by));
	const kinds = [...new Set(values)].filter((v) => v !== null).sort((a, b) => a - b);
	const isScale = by !== "label" && !data.table.columns[by].categories;
	const [low, high] = [kinds[0], kinds.at(-1)];
	const fill = (v) => (v === null ? "var(--soft)" : isScale ? ramp(clamp((v - low) / (high - low || 1), 0, 1)) : hue(kinds.indexOf(v), kinds.length));
	const named = isScale
		? kinds.slice(0, 1).map(() => entry(`${said(low)} to ${said(high)}`, `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(ramp)})`, "ramp"))
		: kinds.slice(0, MOST_NAMED).map((v) => entry(said(v), fill(v)));
	if (!isScale && kinds.length > MOST_NAMED) named.push(made("li", {}, "…"));
	if (values.includes(null)) named.push(entry("missing", fill(null)));
	return [fill, values.map(fill), by === "label" && !labels ? [] : named];
}
