// What the model expects in the cells of a table: it fills those that are missing, and
// says which are odd, and why.
import { Latest, call } from "./api.js";
import { $, count, onChange, save, seed } from "./dom.js";
import { lines, numbered } from "./gallery.js";
import { attach } from "./snippet.js";

const N_DRAWS = 5;
const [LEVEL, FAR] = [0.05, 0.01]; // of p-values: of a row, of one cell
const BLAMED = 1; // nats of blame

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
	const show = (columns, { mean: [mean], variance: [variance], interval_low: [low], interval_high: [high], samples: [samples], is_reliable: [isReliable] }) => {
		const rows = [mean, ...samples];
		const said = (row, d) => (row === mean ? cells.guessed(row[d], variance[d], [low[d], high[d]], d) : cells.said(row[d], d));
		const names = ["Best guess", ...numbered("Draw", N_DRAWS)];
		const { fill } = lines($("filled"), names, columns.map((d) => cells.columns[d].label), (i) => state.pick(rows[i]));
		fill(rows.map((row) => columns.map((d) => said(row, d))));
		$("filled").parentElement.hidden = $("filled-csv").disabled = false;
		$("filled-csv").onclick = () => save("filled.csv", new Blob([cells.csv(rows)], { type: "text/csv" }));
		if (!isReliable) $("gaps").textContent = "Few codes explain the known cells: these estimates are rough.";
		state.announce(columns.map((d) => `${cells.columns[d].label}: ${cells.said(mean[d], d)}`).join(", "));
	};
	const again = () => gaps.length && !$("filled").parentElement.hidden && answer.ask();
	state.on("x", () => {
		asked++;
		gaps = [...state.x.keys()].filter((d) => state.x[d] === null);
		$("filled").parentElement.hidden = $("filled-csv").disabled = true;
		$("fill").disabled = !gaps.length;
		$("gaps").textContent = gaps.length
			? `${count(gaps.length)} of the ${count(state.x.length)} cells of x ${gaps.length === 1 ? "is" : "are"} missing.`
			: "No cell of x is missing. Empty a field above to see what the model expects there.";
	});
	$("fill").onclick = answer.ask;
	onChange(["missing-seed"], again);
	attach($("missing"), () => ({ calls: [["/impute", body()]], ending: ["print(filled.mean, filled.variance, filled.samples)"] }), cells);
}

// Why cells of x are odd, the one most to blame first.
export function oddities(state) {
	const { cells } = state.data;
	if (!cells || !state.heldOut) return;
	const answer = new Latest($("one"), async (signal) => {
		const { x } = state;
		if (x.every((code) => code === null)) return state.emit("odd", ["", []]);
		const reply = await call("/anomaly", { x: [x], seed: 1 }, signal);
		const { blame: [blame], tail_p_value_per_column: [tails], blame_order: [order], why_null: unknown } = reply;
		if (unknown) return state.emit("odd", [`No cell is called odd: ${unknown}.`, []]);
		const [[apart], [far]] = [reply.ratio_p_value, reply.tail_p_value];
		const why = (d) =>
			far <= LEVEL && tails[d] <= FAR && !cells.isUnordered(d)
				? `far outside of the usual range: numbers as extreme have probability ${tails[d] < 1e-6 ? "below 0.000001" : tails[d].toPrecision(1)}`
				: apart <= LEVEL && blame[d] >= BLAMED && `unusual given the other cells, which make it ${Math.round(Math.exp(blame[d]))} times less likely`;
		const odd = order.flatMap((d) => (x[d] !== null && why(d) ? [[d, why(d)]] : []));
		const share = `In ${Math.round(100 * apart)} % of ${count(reply.n_calibration)} held-out rows the cells fit together no better`;
		state.emit("odd", [odd.length ? "" : `No cell is odd. ${share}.`, odd]);
	});
	state.on("x", answer.ask);
}
