// What the model expects in the cells of a table: it fills those that are missing, and
// says which are odd.
import { Latest, call } from "./api.js";
import { $, count, made, onChange, renews, save, seed } from "./dom.js";
import { attach } from "./snippet.js";

const N_DRAWS = 5;
const MOST_COMPARED = 64;

export function filling(state) {
	const { cells } = state.data;
	if (!cells) return;
	$("missing").hidden = false;
	let gaps = [], asked = 0; // the columns of missing cells; how often x has changed
	const body = () => ({
		x: [state.x],
		mask: [state.x.map((code) => Number(code !== null))],
		n_samples: N_DRAWS,
		seed: seed("missing-seed"),
	});
	const answer = new Latest($("missing"), async (signal) => {
		const [before, columns] = [asked, gaps];
		if (!columns.length) return; // x has changed since the click
		const reply = await call("/impute", body(), signal);
		if (before === asked) show(columns, reply);
	});
	const show = (columns, { mean: [mean], variance: [variance], samples: [samples], is_reliable: [isReliable] }) => {
		const rows = [mean, ...samples];
		const names = ["Best guess", ...samples.map((_, i) => `Draw ${i + 1}`)];
		const line = (d) => [cells.guessed(mean[d], variance[d], d), ...samples.map((row) => cells.said(row[d], d))];
		const use = (row, i) => made("button", { "aria-label": `Use ${names[i].toLowerCase()} as x`, onclick: () => state.pick(row) }, "Use as x");
		const tr = (name, entries) => made("tr", {}, made("th", { scope: "row" }, name), ...entries.map((entry) => made("td", {}, entry)));
		const head = made("tr", {}, ...["column", ...names].map((name) => made("th", {}, name)));
		const body = columns.map((d) => tr(cells.columns[d].name, line(d)));
		$("filled").replaceChildren(made("thead", {}, head), made("tbody", {}, ...body, tr("the whole row", rows.map(use))));
		$("filled").parentElement.hidden = $("filled-csv").disabled = false;
		$("filled-csv").onclick = () => save("filled.csv", new Blob([cells.csv(rows)], { type: "text/csv" }));
		if (!isReliable) $("gaps").textContent = "Few codes explain the known cells, so that these estimates are rough.";
		state.announce(columns.map((d) => `${cells.columns[d].name}: ${cells.said(mean[d], d)}`).join(", "));
	};
	const again = () => gaps.length && !$("filled").parentElement.hidden && answer.ask();
	state.on("x", () => {
		asked++;
		gaps = [...state.x.keys()].filter((d) => state.x[d] === null);
		$("filled").parentElement.hidden = $("filled-csv").disabled = true;
		$("fill").disabled = $("missing-new").disabled = !gaps.length;
		$("gaps").textContent = gaps.length
			? `${count(gaps.length)} of the ${count(state.x.length)} cells of x ${gaps.length === 1 ? "is" : "are"} missing.`
			: "No cell of x is missing. Empty a field above to see what the model expects there.";
	});
	$("fill").onclick = answer.ask;
	onChange(["missing-seed"], again);
	renews("missing-new", "missing-seed", answer.ask);
	attach($("missing"), () => ({ calls: [["/impute", body()]], ending: ["print(filled.mean, filled.variance, filled.samples)"] }), cells);
}

// The surprise of each cell, and in each column the highest among the examples.
export function surprises(state) {
	const { cells, mostAnalyzed } = state.data;
	if (!cells || !state.heldOut) return;
	const rows = state.examples.slice(0, Math.min(MOST_COMPARED, mostAnalyzed));
	const of = async (x, signal) => (await call("/anomaly", { x, seed: 1 }, signal)).surprise_per_dim;
	let highest;
	const answer = new Latest($("one"), async (signal) => {
		const x = [...state.x];
		if (!highest) {
			const usual = await of(rows, signal);
			highest = x.map((_, d) => Math.max(...usual.map((row, i) => (rows[i][d] === null ? -Infinity : row[d]))));
		}
		const [nats] = await of([x], signal);
		state.emit("surprise", x.map((code, d) => ({ nats: code === null ? null : nats[d], isOdd: code !== null && nats[d] > highest[d] && highest[d] > -Infinity })));
	});
	state.on("x", answer.ask);
}
