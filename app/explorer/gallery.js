// Many at once: examples to pick, a walk between two, samples from the prior.
import { Latest, call } from "./api.js";
import { rowsOf, sheet } from "./data.js";
import { $, clamp, frame, keys, made, onChange, oneStop, picture, renews, seed, within } from "./dom.js";
import { fixed } from "./maths.js";
import { attach } from "./snippet.js";

const FRAMES = 9;

export const named = (state, i) => `${state.examples.length ? "Example" : "Sample"} ${i + 1}${state.labels ? `, label ${state.labels[i]}` : ""}`;

export function examples(state) {
	const buttons = state.reference.map((row, i) => {
		const button = made("button", { title: named(state, i), onclick: () => state.pick(row) });
		button.append(state.data.cells?.short(row) ?? made("canvas"));
		if (!state.data.cells) sheet(button.firstChild, state.data, [row]);
		return button;
	});
	$("examples").append(...buttons);
	oneStop($("examples"), buttons);
	state.on("x", () => {
		const shown = state.reference.indexOf(state.x);
		buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === shown));
	});
	$("examples-note").textContent = state.examples.length
		? `${state.reference.length} held-out examples: the model was not trained on them.`
		: "Drawn from the model: its checkpoint holds no examples.";
}

export function film(state) {
	const { data, reference, labels } = state;
	const other = reference.findIndex((_, i) => i > 0 && (!labels || labels[i] !== labels[0]));
	for (const id of ["from", "to"]) {
		$(id).append(new Option("x, above", "x"), ...reference.map((_, i) => new Option(named(state, i), i)));
	}
	$("to").value = Math.max(other, 0);
	const ways = ["straight", "great_circle"];
	const frames = ["straight line", "great circle"].map((name) => strip(name, state));
	const code = (id) => ($(id).value === "x" ? state.q.mu : state.means[$(id).value]);
	const asked = (path) => ({ z: [code("from"), code("to")], n: FRAMES, path });
	const answer = new Latest($("film"), async (signal) => {
		const walks = await Promise.all(ways.map((path) => call("/interpolate", asked(path), signal)));
		walks.forEach(({ z, mean }, k) => rowsOf(mean).forEach((row, i) => {
			sheet(frames[k].canvases[i], data, [row]);
			frames[k].notes[i].textContent = fixed(Math.hypot(...z[i]), 1);
			frames[k].rows[i] = row;
		}));
	}, 120);
	state.on("q", answer.ask);
	onChange(["from", "to"], answer.ask);
	attach($("film"), () => ({ calls: ways.map((path) => ["/interpolate", asked(path)]), ending: ["print(straight.mean.shape, great_circle.mean.shape)"] }));
}

function strip(name, state) {
	const rows = [];
	const tiles = Array.from({ length: FRAMES }, (_, i) => tile(`${name}, ${i + 1} of ${FRAMES}`, () => state.pick(rows[i])));
	const canvases = tiles.map((button) => button.firstChild);
	const notes = tiles.map(() => made("span", { className: "note" }));
	const film = made("div", { className: "film nine" }, ...tiles.map((button, i) => made("div", {}, button, notes[i])));
	oneStop(film, tiles);
	const caption = made("figcaption", {}, made("b", {}, name), ", the distance from 0 below");
	$("frames").append(made("figure", {}, caption, film));
	return { canvases, notes, rows };
}

// A picture that becomes x by a click.
export function tile(label, onclick) {
	return made("button", { className: "tile", title: "Use as x", onclick }, picture(label));
}

export function samples(state) {
	const { data } = state;
	const n = Math.min(clamp(8 * Math.floor(25000 / data.dim), 8, data.isImage ? 64 : 24), data.most);
	let rows, at = [0, 0];
	const asked = () => ({
		n,
		seed: seed("samples-seed"),
		temperature: $("temperature").valueAsNumber,
		draw: $("draw").value,
	});
	const show = () => sheet($("dreams"), data, rows, { columns: columns(), gap: 8, least: 84 });
	const columns = () => (data.isImage ? 8 : 4) * ($("samples").clientWidth < 560 ? 1 : 2);
	const lines = () => Math.ceil(n / columns());
	const look = (where) => {
		at = [clamp(Math.floor(where[0]), 0, lines() - 1), clamp(Math.floor(where[1]), 0, columns() - 1)];
		frame($("dream"), at, lines(), columns());
		if (row() && data.cells) sky.title = data.cells.lines(row());
	};
	const row = () => rows?.[at[0] * columns() + at[1]];
	const pick = () => row() && state.pick(row());
	const sky = $("sky");
	sky.onpointermove = sky.onpointerdown = (event) => look(within(sky, event, lines(), columns()));
	sky.onfocus = () => look(at);
	sky.onclick = pick;
	keys(sky, (step) => look(at.map((v, i) => v + step[i])), pick);
	const answer = new Latest($("samples"), async (signal) => {
		rows = rowsOf((await call("/sample", asked(), signal)).x);
		show();
	});
	const again = () => {
		$("temperature-value").value = $("temperature").valueAsNumber.toFixed(2);
		answer.ask();
	};
	onChange(["samples-seed", "draw", "temperature"], again, "input");
	renews("samples-new", "samples-seed", again);
	state.on("resize", () => rows && show());
	answer.ask();
	attach($("samples"), () => ({ calls: [["/sample", asked()]], ending: ["print(sample.x.shape)"] }));
}
