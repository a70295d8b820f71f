// Many at once: examples to pick, a walk between two, samples from the prior.
import { Latest, call } from "./api.js";
import { rowsOf, sheet } from "./data.js";
import { $, arrow, clamp, made, onChange, picture, renews, seed } from "./dom.js";
import { fixed } from "./maths.js";
import { attach } from "./snippet.js";

const FRAMES = 9;

const named = (state, i) => `${state.examples.length ? "Example" : "Sample"} ${i + 1}${state.labels ? `, label ${state.labels[i]}` : ""}`;

export function examples(state) {
	const buttons = state.reference.map((row, i) => {
		const canvas = made("canvas");
		sheet(canvas, state.data, [row]);
		const title = named(state, i);
		return made("button", { title, tabIndex: i ? -1 : 0, onclick: () => state.setX(row, true) }, canvas);
	});
	$("examples").append(...buttons);
	// One stop on the way of Tab, however many they are.
	$("examples").onkeydown = ({ key, target }) => {
		const next = buttons[buttons.indexOf(target) + (arrow(key)?.[1] ?? 0)];
		if (!next) return;
		for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
		next.focus();
	};
	state.on("x", () => buttons.forEach((button, i) => button.setAttribute("aria-pressed", state.x === state.reference[i])));
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
	const frames = ["straight line", "great circle"].map(strip);
	const code = (id) => ($(id).value === "x" ? state.q.mu : state.means[$(id).value]);
	const asked = (path) => ({ z: [code("from"), code("to")], n: FRAMES, path });
	const answer = new Latest($("film"), async (signal) => {
		const walks = await Promise.all(ways.map((path) => call("/interpolate", asked(path), signal)));
		walks.forEach(({ z, mean }, k) => rowsOf(mean).forEach((row, i) => {
			sheet(frames[k].canvases[i], data, [row]);
			frames[k].notes[i].textContent = fixed(Math.hypot(...z[i]), 1);
		}));
	}, 120);
	state.on("q", answer.ask);
	onChange(["from", "to"], answer.ask);
	attach($("film"), () => ({ calls: ways.map((path) => ["/interpolate", asked(path)]), ending: ["print(straight.mean.shape, great_circle.mean.shape)"] }));
}

function strip(name) {
	const canvases = Array.from({ length: FRAMES }, (_, i) => picture(`${name}, ${i + 1} of ${FRAMES}`));
	const notes = canvases.map(() => made("span", { className: "note" }));
	const film = made("div", { className: "film nine" }, ...canvases.map((canvas, i) => made("div", {}, canvas, notes[i])));
	const caption = made("figcaption", {}, made("b", {}, name), ", the distance from 0 below");
	$("frames").append(made("figure", {}, caption, film));
	return { canvases, notes };
}

export function samples(state) {
	const { data } = state;
	const n = Math.min(clamp(8 * Math.floor(25000 / data.dim), 8, data.isImage ? 64 : 24), data.most);
	let rows;
	const asked = () => ({
		n,
		seed: seed("samples-seed"),
		temperature: $("temperature").valueAsNumber,
		draw: $("draw").value,
	});
	const show = () => {
		const columns = (data.isImage ? 8 : 4) * ($("samples").clientWidth < 560 ? 1 : 2);
		sheet($("dreams"), data, rows, { columns, gap: 8, least: 84 });
	};
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
