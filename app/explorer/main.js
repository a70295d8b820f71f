// The page: what is served, then every panel of it around one shared state.
import { call, report } from "./api.js";
import { columns } from "./columns.js";
import { Data, redraw, rowsOf } from "./data.js";
import { $, count, made } from "./dom.js";
import { filling, oddities } from "./expected.js";
import { examples, film, samples } from "./gallery.js";
import { dials, map } from "./latent.js";
import { link } from "./link.js";
import { fixed, kl, rounded } from "./maths.js";
import { bound, code, draws } from "./one.js";

const MOST_UNDONE = 100;

// x, its q(z|x), and the z of the dials. The dials follow mu(x) until somebody moves them.
class State extends EventTarget {
	on = this.addEventListener;
	isFollowing = true;
	#past = [];
	#said;

	constructor(known, { mu, log_var: logVar }) {
		super();
		Object.assign(this, known, { means: mu });
		const costs = mu.map((row, i) => kl(row, logVar[i], this.prior));
		const totals = mu[0].map((_, j) => costs.reduce((sum, row) => sum + row[j], 0));
		this.busiest = [...totals.keys()].sort((a, b) => totals[b] - totals[a]);
	}

	emit(name, detail) {
		this.dispatchEvent(new CustomEvent(name, { detail }));
	}

	setX(x, detail) {
		this.x = x;
		this.emit("x", detail);
	}

	// Keep x as it is now for undo. What is drawn on changes in place, so it is copied.
	remember() {
		this.#past.push(this.reference.includes(this.x) ? this.x : [...this.x]);
		if (this.#past.length > MOST_UNDONE) this.#past.shift();
		this.emit("past");
	}

	// Have a row become x, with the decimals that are shown.
	pick(x) {
		this.remember();
		this.setX(this.reference.includes(x) ? x : this.data.whole(x), true);
	}

	get canUndo() { return this.#past.length > 0; }

	undo() {
		if (!this.canUndo) return;
		this.setX(this.#past.pop(), true);
		this.emit("past");
	}

	setQ(q) {
		this.q = q;
		this.emit("q");
		if (this.isFollowing) this.#turn(q.mu);
	}

	setZ(z) {
		this.isFollowing = false;
		this.#turn(z);
	}

	follow() {
		this.isFollowing = true;
		this.#turn(this.q.mu);
	}

	#turn(z) {
		this.z = rounded(z);
		this.emit("z");
	}

	announce(words) {
		clearTimeout(this.#said);
		this.#said = setTimeout(() => ($("live").textContent = words), 700);
	}
}

function introduce(card, data) {
	const shape = card.data_shape.join(" × ");
	document.title = `${card.name} – VAE explorer`;
	$("name").textContent = card.name;
	const [what, of] = [data.isImage ? "picture" : "row", data.cells ? "cells" : "numbers"];
	const j = card.latent_dim;
	$("lede").textContent = `The encoder turns a ${what} of ${shape} ${of} into a Gaussian over ${j} numbers; the decoder turns ${j} numbers into a ${what}.`;
	const bounds = card.figures.filter((f) => f.name === "elbo");
	const figure = bounds.find((f) => f.split === "test") ?? bounds[0];
	const facts = [
		`p(x|z) ${data.cells ? "for each cell" : card.likelihood.kind.replaceAll("_", " ")}`,
		`φ ${count(card.phi.n_parameters)} numbers`,
		`θ ${count(card.theta.n_parameters)} numbers`,
		...(figure ? [`${figure.split} ELBO ${fixed(figure.value, 1)} nats`] : []),
	];
	$("facts").replaceChildren(...facts.map((fact) => made("li", {}, fact)));
	for (const name of ["phi", "theta"]) {
		$(name).textContent = card[name].what;
	}
	$("local").textContent = `φ and θ are stored; the encoder computes ${j} values of μ and ${j} of σ² for each x.`;
	$("prior").textContent = `${card.prior.what} The dials, the map and the KL of one dimension use the normal of its mean and standard deviation σ.`;
	$("origin").textContent = `Checkpoint ${card.version}, trained on ${card.provenance.dataset}, ${card.provenance.created.slice(0, 10)}.`;
}

// Without held-out rows, the model's own: in {0, 1} where the likelihood is.
async function references(data, rows) {
	if (rows.length) return rows.slice(0, data.most);
	const draw = data.binary || !data.isImage ? "sample" : "mean";
	return rowsOf((await call("/sample", { n: Math.min(32, data.most), seed: 1, draw })).x);
}

async function begin() {
	for (const panel of document.querySelectorAll("section")) {
		panel.setAttribute("aria-label", panel.querySelector("h2").textContent);
		panel.querySelector(".title")?.after(made("p", { className: "error", hidden: true, role: "alert" }));
	}
	$("explain").onclick = () => {
		$("meaning").hidden = !$("meaning").hidden;
		$("explain").setAttribute("aria-expanded", !$("meaning").hidden);
	};
	const [card, found] = await Promise.all([call("/model"), call("/examples")]);
	const data = new Data(card);
	introduce(card, data);
	const rows = rowsOf(found.x);
	const reference = await references(data, rows);
	data.learn(reference);
	const root = document.documentElement;
	root.style.setProperty("--aspect", data.aspect);
	if (!data.isImage) root.className = "rows";
	if (!data.cells) $("make").textContent = data.isImage ? "Draw x" : "Edit x";
	if (data.table) for (const canvas of document.querySelectorAll("canvas.shown")) {
		canvas.replaceWith(made("table", { id: canvas.id, className: "cells", "aria-label": canvas.ariaLabel }));
	}
	const codes = await call("/encode", { x: reference });
	const { mean, standard_deviation: sigma, kind } = card.prior;
	const of = kind === "standard_normal" ? "" : " to the band’s normal";
	const state = new State({ data, prior: { mean, sigma, of }, reference, examples: rows, labels: found.labels, heldOut: found.elbo }, codes);
	for (const panel of [examples, code, oddities, bound, filling, draws, dials, map, film, samples, columns]) panel(state);
	await link(state);
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
	addEventListener("resize", () => state.emit("resize"));
}

const reload = () => location.reload();
$("reload").onclick = reload;
document.addEventListener("othermodel", () => ($("other").hidden = false));
begin().catch((error) => report($("failed"), error, reload));
