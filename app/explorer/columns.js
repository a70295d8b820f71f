// The columns of a table: held-out examples beside rows drawn from the model.
import { Latest, call, csv } from "./api.js";
import { marginal, pair } from "./column_chart.js";
import { rowsOf } from "./data.js";
import { $, count, made, onChange, renews, save, seed } from "./dom.js";
import { MOST_FIELDS } from "./pad.js";
import { attach } from "./snippet.js";

export function columns(state) {
	const { cells, mostDrawn } = state.data;
	if (!cells) return;
	$("columns").hidden = false;
	const all = cells.columns;
	const order = [...all.keys()].sort((a, b) => Boolean(all[a].categories) - Boolean(all[b].categories)); // numbers first
	const axes = ["pair-across", "pair-up"];
	axes.forEach((id, i) => {
		$(id).append(...all.map(({ label }, d) => new Option(label, d)));
		$(id).value = order[i] ?? order[0];
	});
	const asked = () => ({ n: Math.min($("n-drawn").value, mostDrawn), seed: seed("drawn-seed"), draw: "sample" });
	let both;
	const showPair = () => both && pair($("pair"), cells, both, axes.map((id) => Number($(id).value)));
	const answer = new Latest($("columns"), async (signal) => {
		const drawn = rowsOf((await call("/sample", asked(), signal)).x);
		both = [
			{ css: "seen", what: "held-out", rows: state.examples },
			{ css: "drawn", what: "sampled", rows: drawn },
		].filter(({ rows }) => rows.length);
		$("series").replaceChildren(...both.map(({ css, what, rows }) => made("li", {}, made("i", { className: css }), `${count(rows.length)} ${what} rows`)));
		$("marginals").replaceChildren(...all.slice(0, MOST_FIELDS).map((_, d) => marginal(cells, both, d)));
		showPair();
	});
	const file = new Latest($("columns"), async (signal) => save("samples.csv", await csv("/sample", asked(), signal)));
	$("drawn-csv").onclick = file.ask;
	onChange(["n-drawn", "drawn-seed"], answer.ask);
	renews("drawn-new", "drawn-seed", answer.ask);
	onChange(axes, showPair);
	state.on("resize", showPair);
	answer.ask();
	attach($("columns"), () => ({ calls: [["/sample", asked()]], ending: ["print(sample.x.shape)"] }));
}
