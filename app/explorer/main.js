// The page: what is served, then every panel of it around one shared state.
import { call, tell } from "./api.js";
import { Data, redraw, rowsOf } from "./data.js";
import { $, count, made } from "./dom.js";
import { examples, film, samples } from "./gallery.js";
import { dials, map } from "./latent.js";
import { fixed, kl, mean } from "./maths.js";
import { bound, code, draws } from "./one.js";
import { start as snippets } from "./snippet.js";

const NUMBER_SAMPLES = 32;

// x, the q(z|x) it has, and the z of the dials. The dials follow mu(x) until a hand
// moves them.
class State extends EventTarget {
  #following = true;
  #said;

  constructor(data, { rows, labels, elbo }, reference) {
    super();
    Object.assign(this, { data, labels, heldOut: elbo, examples: rows, reference });
  }

  learn({ mu, log_var: logVar }) {
    this.means = mu;
    const costs = mu.map((row, i) => row.map((m, j) => kl(m, logVar[i][j])));
    this.meanKl = mu[0].map((_, j) => mean(costs, j));
    this.busiest = this.meanKl.map((_, j) => j).sort((a, b) => this.meanKl[b] - this.meanKl[a]);
  }

  on(name, listener) {
    this.addEventListener(name, listener);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  setX(x, detail) {
    this.x = x;
    this.#emit("x", detail);
  }

  setQ(q) {
    this.q = q;
    this.#emit("q");
    if (this.#following) this.#turn(q.mu);
  }

  setZ(z) {
    this.#following = false;
    this.#turn(z);
  }

  follow() {
    this.#following = true;
    this.#turn(this.q.mu);
  }

  #turn(z) {
    this.z = z.map((v) => Number(v.toFixed(6)));
    this.#emit("z");
  }

  announce(words) {
    clearTimeout(this.#said);
    this.#said = setTimeout(() => ($("live").textContent = words), 700);
  }

  resized() {
    this.#emit("resize");
  }
}

function introduce(card, data) {
  const shape = card.data_shape.join(" × ");
  document.title = `${card.name} – VAE explorer`;
  $("name").textContent = card.name;
  const [what, j] = [data.isImage ? "picture" : "row", card.latent_dim];
  $("lede").textContent = `A ${what} of ${shape} numbers goes in. The encoder writes it down as a Gaussian over ${j} numbers, and from ${j} numbers the decoder makes a ${what}.`;
  const bounds = card.figures.filter((f) => f.name === "elbo");
  const figure = bounds.find((f) => f.split === "test") ?? bounds[0];
  const facts = [
    `p(x|z) ${card.likelihood.kind.replaceAll("_", " ")}`,
    `φ ${count(card.phi.n_parameters)} numbers`,
    `θ ${count(card.theta.n_parameters)} numbers`,
    ...(figure ? [`${figure.split} ELBO ${fixed(figure.value, 1)} nats`] : []),
  ];
  $("facts").replaceChildren(...facts.map((fact) => made("li", {}, fact)));
  for (const name of ["phi", "theta"]) {
    $(name).textContent = card[name].what;
    $(`${name}-size`).textContent = `${count(card[name].n_parameters)} numbers here`;
  }
  $("local").textContent = `On this page: for each x the encoder answers ${card.latent_dim} values of μ and ${card.latent_dim} of σ². They are computed, not stored; what is stored are φ and θ.`;
  $("origin").textContent = `Checkpoint ${card.version}, trained on ${card.provenance.dataset}, ${card.provenance.created.slice(0, 10)}. Every number on this page is an answer of the API.`;
}

function meaning() {
  $("explain").onclick = () => {
    const open = $("meaning").hidden;
    $("meaning").hidden = !open;
    $("explain").setAttribute("aria-expanded", open);
  };
}

// Without held-out rows, the model's own: draws where the likelihood is of {0, 1}.
async function references(data, rows) {
  if (rows.length) return rows;
  const sample = await call("/sample", { n: NUMBER_SAMPLES, seed: 1, draw: data.binary || !data.isImage ? "sample" : "mean" });
  return rowsOf(sample.x);
}

async function begin() {
  for (const panel of document.querySelectorAll("[data-panel]")) {
    panel.querySelector(".title").after(made("p", { className: "error", hidden: true, role: "alert" }));
  }
  meaning();
  snippets();
  const [card, found] = await Promise.all([call("/model"), call("/examples")]);
  const data = new Data(card);
  introduce(card, data);
  const rows = rowsOf(found.x);
  const reference = await references(data, rows);
  data.learn(reference);
  document.documentElement.style.setProperty("--aspect", data.aspect);
  document.documentElement.classList.toggle("rows", !data.isImage);
  document.documentElement.classList.toggle("smooth", data.isImage && data.width >= 64);
  const state = new State(data, { ...found, rows }, reference);
  state.learn(await call("/encode", { x: reference }));
  for (const panel of [examples, code, bound, draws, dials, map, film, samples]) panel(state);
  state.setX(reference[0], "picked");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let timer;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => state.resized(), 150);
  });
}

begin().catch((error) => tell($("failed"), error));
