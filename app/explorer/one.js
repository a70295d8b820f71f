// One x: its code and reconstruction, its bound, and other codes that it could have.
import { Latest, call } from "./api.js";
import { latents, terms } from "./chart.js";
import { rowsOf, sheet } from "./data.js";
import { $, count, made, onChange, renews, seed, subscript, tr } from "./dom.js";
import { choices, numbered } from "./gallery.js";
import { fixed, kl, normals, rounded } from "./maths.js";
import { opens } from "./open.js";
import { Fields, Pad } from "./pad.js";
import { attach } from "./snippet.js";

export function code(state) {
	const { data } = state;
	const input = new (data.isImage ? Pad : Fields)($("input"), data, () => state.setX(input.x), () => state.remember());
	$("input").append($("undo").parentElement); // below the pad or the table
	if (data.table) {
		const use = $("use-reconstruction"); // E[x|z] is in the table
		use.closest("figure").hidden = true;
		use.textContent = "Use E[x|z] as x";
		$("undo").after(use);
	}
	let out;
	const answer = new Latest($("one"), async (signal) => {
		const x = state.x;
		const q = await call("/encode", { x: [x] }, signal);
		const [mu, logVar] = [q.mu[0], q.log_var[0]];
		const p = await call("/decode", { z: [mu] }, signal);
		const [mean] = rowsOf(p.mean);
		out = mean;
		sheet($("reconstruction"), data, [mean], { behind: data.isImage ? null : x });
		for (const [id, row] of [["way-x", x], ["way-out", mean]]) sheet($(id), data, [row]);
		input.answer?.(mean, p.log_var && rowsOf(p.log_var)[0]);
		state.setQ({ mu, logVar, sigma: logVar.map((v) => Math.exp(v / 2)), kl: kl(mu, logVar, state.prior) });
	}, 0);
	state.on("x", (event) => {
		if (event.detail) input.set(state.x);
		answer.ask();
	});
	state.on("odd", ({ detail }) => input.mark(detail));
	const show = () => {
		if (!state.q) return;
		latents($("latents"), state.q, state.prior);
		if ($("numbers").open) numbers(state.q);
	};
	state.on("q", show);
	state.on("resize", show);
	$("numbers").ontoggle = show;
	$("use-reconstruction").onclick = () => out && state.pick(out);
	$("undo").onclick = () => state.undo();
	state.on("past", () => ($("undo").disabled = !state.canUndo));
	document.addEventListener("keydown", (event) => {
		if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.target.matches("input, textarea")) return;
		event.preventDefault();
		state.undo();
	});
	opens(state);
	attach($("one"), () => ({
		calls: [["/encode", { x: [state.x] }], ["/decode", { z: [state.q.mu] }]],
		python: [["/encode", { x: [state.x] }]],
		ending: ["p = vae.decode(q.mu)", "print(q.mu, q.log_var, p.mean)"],
	}), data.cells);
}

function numbers({ mu, sigma, kl }) {
	const row = (_, j) => tr("td", [`z${subscript(j)}`, ...[mu, sigma, kl].map((values) => fixed(values[j], 3))]);
	$("numbers").querySelector("tbody").replaceChildren(...mu.map(row));
}

export function bound(state) {
	const { data } = state;
	$("binarize-field").hidden = !data.binary;
	let last;
	const asked = () => ({
		x: [state.x],
		n_samples: Number($("n-samples").value),
		seed: seed("bound-seed"),
		...(data.binary && $("binarize").value && { binarize: $("binarize").value }),
	});
	const show = () => {
		words(data, last, state.heldOut);
		terms($("scale"), last, state.heldOut);
	};
	const answer = new Latest($("bound"), async (signal) => {
		const hasGaps = state.x.includes(null);
		const reply = await call("/elbo", asked(), signal);
		last = { elbo: reply.elbo[0], logLikelihood: reply.log_likelihood[0], kl: reply.kl[0], hasGaps };
		show();
		state.announce(`ELBO ${fixed(last.elbo, 1)} nats, KL ${fixed(last.kl, 1)} nats`);
	});
	onChange(["binarize", "n-samples", "bound-seed"], answer.ask);
	state.on("x", answer.ask);
	state.on("resize", () => last && show());
	attach($("bound"), () => ({ calls: [["/elbo", asked()]], ending: ["print(bound.elbo, bound.log_likelihood, bound.kl)"] }), data.cells);
}

const span = (className, content) => made("span", { className }, content);

function term(css, name, value, words) {
	return made("div", { className: `term ${css}` }, span("dt", name), span("dd", fixed(value, 1)), made("p", {}, words));
}

function words(data, { elbo, logLikelihood, kl, hasGaps }, heldOut) {
	const explained = data.binary
		? `log of the probability of all ${count(data.dim)} values; 0 would be certainty.`
		: data.cells
			? "log of the probability of the cells that are known, each number to its decimals; 0 would be certainty."
			: "log of a density, in the data’s own units, so it may be above 0.";
	$("terms").replaceChildren(
		term("total", "ELBO", elbo, "In nats; log p(x) is at least this. The higher, the more x is like what the model knows."),
		span("sign", "="),
		term("likelihood", "E[log p(x|z)]", logLikelihood, `How well decoded codes explain x: ${explained}`),
		span("sign", "−"),
		term("kl", "KL(q(z|x) ‖ p(z))", kl, `What the code says beyond the prior: ${fixed(kl, 1)} nats are ${fixed(kl / Math.LN2, 1)} bits.`),
	);
	const simple = data.cells ? "" : " x is simpler than the data, as an empty picture is.";
	const partial = "Cells of x are missing, which raises the bound: compare it only with rows that lack as many.";
	$("standing").textContent = !heldOut ? "" : hasGaps ? partial : standing(elbo, heldOut, simple);
}

// Quantiles at 0, 1, ..., 100 percent. A bound may be unusual on both sides: that of an
// empty picture is above nearly all, because it is easy to explain.
function standing(elbo, { quantiles, n, split }, simple) {
	const percent = quantiles.filter((q) => q <= elbo).length - 1;
	const [isBelow, isAbove] = [percent < 0, percent > 99];
	const p = 2 * Math.min(percent, 100 - percent);
	const where = isBelow ? "Below all" : isAbove ? "Above all" : `Above about ${percent} % of`;
	const verdict = isBelow ? "unlike anything held out." : p < 5 ? `unusual.${percent > 50 ? simple : ""}` : "ordinary.";
	const share = isBelow || isAbove ? "" : ` About ${Math.max(p, 1)} % of rows are at least as unusual (a two-sided p-value).`;
	return `${where} ${count(n)} ${split} rows: ${verdict}${share} The gray band holds the middle 90 % of them, the darker one the middle half.`;
}

export function draws(state) {
	let eps, last;
	const { show, buttons } = choices($("draws-film"), state, numbered("Draw", 8));
	const answer = new Latest($("draws"), async (signal) => {
		const { mu, sigma } = state.q;
		eps = normals(seed("draws-seed"), buttons.length, mu.length).map(rounded);
		last = eps.map((row) => rounded(row.map((e, j) => mu[j] + sigma[j] * e)));
		const p = await call("/decode", { z: last }, signal);
		show(rowsOf(p.mean));
	});
	state.on("q", answer.ask);
	onChange(["draws-seed"], answer.ask);
	renews("draws-new", "draws-seed", answer.ask);
	attach($("draws"), () => ({
		calls: [["/decode", { z: last }]],
		python: [["/encode", { x: [state.x] }]],
		ending: [["eps", eps], "z = q.mu + np.exp(q.log_var / 2) * eps", "p = vae.decode(z)", "print(p.mean)"],
	}), state.data.cells);
}
