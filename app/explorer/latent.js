// The latent space: dials for its busiest dimensions, and a map of two of them.
import { Latest, call } from "./api.js";
import { svg } from "./chart.js";
import { colors, offer } from "./colors.js";
import { rowsOf, sheet } from "./data.js";
import { $, clamp, frame, keys, made, onChange, renews, seed, subscript, within } from "./dom.js";
import { named } from "./gallery.js";
import { below, fixed, quantile, rounded } from "./maths.js";
import { attach } from "./snippet.js";

const DOT_REACH = 0.02; // of the side of the map

export function dials(state) {
	const { data } = state;
	$("sliders").append(...state.busiest.slice(0, 8).map((j) => dial(j, state)));
	let out;
	const answer = new Latest($("dials"), async (signal) => {
		const p = await call("/decode", { z: [state.z] }, signal);
		[out] = rowsOf(p.mean);
		sheet($("dialled"), data, [out]);
	});
	$("use-dialled").onclick = () => out && state.pick(out);
	state.on("z", answer.ask);
	const draw = new Latest($("dials"), async (signal) => {
		const sample = await call("/sample", { n: 1, seed: seed("dials-seed") }, signal);
		state.setZ(sample.z[0]);
	});
	$("to-mu").onclick = () => state.follow();
	$("to-mean").onclick = () => state.setZ(state.prior.mean);
	renews("to-random", "dials-seed", draw.ask);
	attach($("dials"), () => ({ calls: [["/decode", { z: [state.z] }]] }));
}

function dial(j, state) {
	const id = `dial-${j}`;
	const [mean, sigma] = [state.prior.mean[j], state.prior.sigma[j]];
	let reach = 3 * sigma;
	const range = made("input", { type: "range", step: sigma / 100, id });
	const output = made("output", { htmlFor: id, "aria-live": "off" });
	const box = made("div", { className: "dial" }, made("label", { htmlFor: id }, `z${subscript(j)}`), range, output);
	range.oninput = () => state.setZ(state.z.map((v, i) => (i === j ? range.valueAsNumber : v)));
	state.on("z", () => {
		reach = Math.max(reach, Math.abs(state.z[j] - mean));
		range.min = mean - reach;
		range.max = mean + reach;
		range.value = state.z[j];
		output.value = fixed(state.z[j]);
	});
	return box;
}

export function map(state) {
	const { data, prior } = state;
	if (state.busiest.length < 2) return void ($("map").hidden = true);
	const size = Math.floor(Math.sqrt(Math.min(data.isImage ? clamp(200000 / data.dim, 25, 225) : data.table ? 225 : 49, data.most)));
	const steps = Array.from({ length: size }, (_, i) => quantile((i + 0.5) / size));
	const axes = () => ["across", "up"].map((id) => Number($(id).value));
	const whole = (v) => clamp(Math.floor(v), 0, size - 1);
	let asked, rows, at; // at: the row and column that is looked at
	["across", "up"].forEach((id, i) => {
		$(id).append(...state.busiest.map((j) => new Option(`z${subscript(j)}`, j)));
		$(id).value = state.busiest[i];
	});
	let chosen = axes();
	$("others-field").hidden = state.busiest.length === 2;
	$("points-field").hidden = !state.examples.length;
	if (data.table) $("as").textContent = " as the color of one column";
	offer(state);
	$("points").checked = Boolean(state.labels ?? data.table);
	const put = (z, [row, column]) => {
		const [a, b] = axes();
		const step = { [a]: steps[column], [b]: steps[size - 1 - row] };
		return rounded(z.map((v, j) => (j in step ? prior.mean[j] + prior.sigma[j] * step[j] : v)));
	};
	const latentsOf = () => {
		const z = $("others").value === "dials" ? state.z : prior.mean;
		return Array.from({ length: size * size }, (_, i) => put(z, [Math.floor(i / size), i % size]));
	};
	const nearest = () => {
		const [a, b] = axes().map((j) => below(state.z, j, prior));
		return [whole((1 - b) * size), whole(a * size)];
	};
	// The example whose dot is under the pointer; -1 if there is none.
	const dotUnder = (event) => {
		if (!event || !$("points").checked) return -1;
		const [y, x] = within(plane, event, 1, 1);
		const [a, b] = axes();
		const far = state.means.map((mu) => Math.hypot(below(mu, a, prior) - x, 1 - below(mu, b, prior) - y));
		const least = Math.min(...far);
		return least < DOT_REACH ? far.indexOf(least) : -1;
	};
	const look = (where, event) => {
		at = where;
		const example = dotUnder(event);
		plane.title = example < 0 ? "" : `${named(state, example)}: use as x`;
		if (!rows) return;
		const [row, column] = at ?? nearest();
		const z = put(state.z, [row, column]);
		const shown = example < 0 ? rows[row * size + column] : state.reference[example];
		sheet($("lens"), data, [shown]);
		const place = example >= 0 ? [named(state, example)] : axes().map((j) => `z${subscript(j)} = ${fixed(z[j])}`);
		$("where").textContent = place.join("\n");
		frame($("cell"), [row, column], size, size);
		$("cell").hidden = !at;
	};
	// The decoded rows; of a table, the color of the column that is chosen.
	const paint = () => {
		if (!data.table) return sheet($("grid"), data, rows, { columns: size, least: Math.ceil(1100 / size) });
		const by = $("color").value;
		const [fill] = colors(state);
		const context = Object.assign($("grid"), { width: 9 * size, height: 9 * size }).getContext("2d");
		rows.forEach((row, i) => {
			context.fillStyle = by in row ? fill(data.table.whole(row)[by]) : "transparent";
			context.fillRect(9 * (i % size), 9 * Math.floor(i / size), 9, 9);
		});
	};
	const answer = new Latest($("map"), async (signal) => {
		const z = latentsOf();
		if (JSON.stringify(z) !== asked) {
			rows = rowsOf((await call("/decode", { z }, signal)).mean);
			asked = JSON.stringify(z);
		}
		paint();
		look(at);
	}, 200);
	// In a click the dials take the other dimensions from where the map has them.
	const set = () => state.setZ(put(latentsOf()[0], at ?? nearest()));
	const plane = $("plane");
	const under = (event) => within(plane, event, size, size).map(whole);
	plane.onpointermove = (event) => look(under(event), event);
	plane.onpointerleave = () => look(null);
	plane.onfocus = () => look(at ?? nearest());
	plane.onblur = () => look(null);
	plane.onclick = (event) => {
		const example = dotUnder(event);
		if (example >= 0) return state.pick(state.reference[example]);
		look(under(event));
		set();
	};
	keys(plane, (step) => {
		look((at ?? nearest()).map((v, i) => whole(v + step[i])));
		state.announce($("where").parentElement.innerText);
	}, set);
	const again = () => {
		const n = prior.mean.length - 2;
		const where = $("others").value === "dials" ? "where the dials have them" : "at the prior’s mean";
		$("elsewhere").textContent = n ? `The other ${n === 1 ? "dimension stands" : `${n} dimensions stand`} ${where}.` : "";
		answer.ask();
		dots(state, axes());
	};
	state.on("z", again);
	onChange(["across", "up"], () => {
		const [a, b] = axes();
		if (a === b) [$("up").value, $("across").value] = chosen;
		chosen = axes();
		again();
	});
	onChange(["others", "points", "color"], again);
	attach($("map"), () => ({ calls: [["/decode", { z: latentsOf() }]] }));
}

// Where the encoder puts the examples, and where the dials are.
function dots(state, [a, b]) {
	const { clientWidth, clientHeight } = $("plane");
	const dot = (z, rx, css, fill) => {
		const [cx, cy] = [100 * below(z, a, state.prior), 100 - 100 * below(z, b, state.prior)];
		return svg("ellipse", { cx, cy, rx, ry: (rx * clientWidth) / clientHeight || rx, class: css, fill });
	};
	const [, fills, entries] = colors(state);
	const marks = state.means.map((mu, i) => dot(mu, 1.15, "dot", fills[i]));
	const shown = $("points").checked;
	$("dots").replaceChildren(...(shown ? marks : []), dot(state.z, 1.9, "here", "none"));
	$("legend").replaceChildren(...(shown ? entries : []));
}
