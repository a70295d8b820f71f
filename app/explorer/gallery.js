// Many at once: examples to pick, a walk between two, samples from the prior.
import { Latest, call } from "./api.js";
import { rowsOf, sheet } from "./data.js";
import { $, clamp, made, onChange, oneStop, picture, renews, seed, tr } from "./dom.js";
import { fixed } from "./maths.js";
import { attach } from "./snippet.js";

const FRAMES = 9;

export const named = (state, i) => `${state.examples.length ? "Example" : "Sample"} ${i + 1}${state.labels ? `, label ${state.labels[i]}` : ""}`;
export const numbered = (word, n) => Array.from({ length: n }, (_, i) => `${word} ${i + 1}`);

// Make the lines of a table, each with a button that uses it as x.
export function lines(table, names, heads, use) {
	const buttons = names.map((name, i) => made("button", { "aria-label": `Use ${name.toLowerCase()} as x`, onclick: () => use(i) }, name));
	const body = buttons.map((button) => tr("td", heads.map(() => ""), button));
	table.replaceChildren(made("thead", {}, tr("th", ["Use as x", ...heads])), made("tbody", {}, ...body));
	oneStop(table, buttons);
	const fill = (texts) => texts.forEach((row, i) => row.forEach((text, d) => (body[i].cells[d + 1].textContent = text)));
	return { buttons, fill };
}

// Rows that become x by a click: pictures beside each other, or lines of a table. `note`
// says what the notes that come with rows are.
export function choices(place, state, names, note) {
	const { table: cells } = state.data;
	let rows;
	const use = (i) => rows && state.pick(rows[i]);
	if (!cells) {
		const buttons = names.map((name, i) => made("button", { className: "tile", title: `${name}: use as x`, onclick: () => use(i) }, picture(name), made("span", { className: "note" })));
		place.append(...buttons);
		oneStop(place, buttons);
		const show = (found, notes) => (rows = found).forEach((row, i) => {
			const [canvas, words] = buttons[i].children;
			sheet(canvas, state.data, [row]);
			words.textContent = notes?.[i] ?? "";
		});
		return { buttons, show };
	}
	const table = made("table", { className: "cells" });
	place.className = "scroll";
	place.append(table);
	const { buttons, fill } = lines(table, names, [...cells.columns.map(({ label }) => label), ...(note ? [note] : [])], use);
	const show = (found, notes) => fill((rows = found).map((row, i) => [...row.map((code, d) => cells.said(code, d)), ...(notes ? [notes[i]] : [])]));
	return { buttons, show };
}

export function examples(state) {
	const { buttons, show } = choices($("examples"), state, state.reference.map((_, i) => named(state, i)));
	show(state.reference);
	state.on("x", () => {
		const shown = state.reference.indexOf(state.x);
		buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === shown));
	});
	$("examples-note").textContent = state.examples.length
		? `${state.reference.length} held-out examples: the model was not trained on them.`
		: "Drawn from the model: its checkpoint holds no examples.";
}

export function film(state) {
	const { data, reference } = state;
	const kinds = state.labels ?? reference.map((row, i) => (data.table ? row[0] : i));
	for (const id of ["from", "to"]) {
		$(id).append(new Option("x, above", "x"), ...reference.map((_, i) => new Option(named(state, i), i)));
	}
	$("to").value = Math.max(0, kinds.findIndex((kind) => kind !== kinds[0]));
	const ways = ["straight", "great_circle"];
	const strips = ["straight line", "great circle"].map((name) => {
		const place = made("div", { className: "film nine" });
		$("frames").append(made("figure", {}, made("figcaption", {}, made("b", {}, name), ", with the distance from 0"), place));
		return choices(place, state, Array.from({ length: FRAMES }, (_, i) => `${i + 1} of ${FRAMES}`), "distance from 0");
	});
	const code = (id) => ($(id).value === "x" ? state.q.mu : state.means[$(id).value]);
	const asked = (path) => ({ z: [code("from"), code("to")], n: FRAMES, path });
	const answer = new Latest($("film"), async (signal) => {
		const walks = await Promise.all(ways.map((path) => call("/interpolate", asked(path), signal)));
		walks.forEach(({ z, mean }, k) => strips[k].show(rowsOf(mean), z.map((row) => fixed(Math.hypot(...row), 1))));
	}, 120);
	state.on("q", answer.ask);
	onChange(["from", "to"], answer.ask);
	attach($("film"), () => ({ calls: ways.map((path) => ["/interpolate", asked(path)]), ending: ["print(straight.mean.shape, great_circle.mean.shape)"] }));
}

export function samples(state) {
	const { data } = state;
	const n = Math.min(clamp(8 * Math.floor(25000 / data.dim), 8, data.isImage ? 64 : 24), data.most);
	const { show } = choices($("dreams"), state, numbered("Sample", n));
	if (data.table) $("draw").value = "sample";
	const asked = () => ({
		n,
		seed: seed("samples-seed"),
		temperature: $("temperature").valueAsNumber,
		draw: $("draw").value,
	});
	const answer = new Latest($("samples"), async (signal) => show(rowsOf((await call("/sample", asked(), signal)).x)));
	const again = () => {
		$("temperature-value").value = $("temperature").valueAsNumber.toFixed(2);
		answer.ask();
	};
	onChange(["samples-seed", "draw", "temperature"], again, "input");
	renews("samples-new", "samples-seed", again);
	answer.ask();
	attach($("samples"), () => ({ calls: [["/sample", asked()]], ending: ["print(sample.x.shape)"] }));
}
