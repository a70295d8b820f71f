// The latent space: dials for its busiest dimensions, and a map of two of them.
import { Latest, call } from "./api.js";
import { subscript, svg } from "./chart.js";
import { rowsOf, sheet } from "./data.js";
import { cdf, fixed, quantile, rounded } from "./maths.js";
import { attach } from "./snippet.js";

const $ = (id) => document.getElementById(id);
const REACH = 3;
const MOST_DIALS = 8;

export function dials(state) {
  const { data } = state;
  const shown = state.busiest.slice(0, MOST_DIALS);
  const seed = () => Math.max(0, Math.round($("dials-seed").valueAsNumber) || 0);
  const rest = state.busiest.length - shown.length;
  $("dials-hint").textContent = `${rest ? `The ${shown.length} of ${state.busiest.length} dimensions that carry the most KL` : "Each latent dimension"}, in standard deviations σ of the prior`;
  const sliders = shown.map((j) => dial(j, state));
  $("sliders").append(...sliders.map((slider) => slider.box));
  const answer = new Latest($("dials"), async (signal) => {
    const p = await call("/decode", { z: [state.z] }, signal);
    sheet($("dialled"), data, rowsOf(p.mean));
  });
  state.on("z", () => {
    sliders.forEach((slider) => slider.show());
    answer.ask();
  });
  const draw = new Latest($("dials"), async (signal) => {
    const sample = await call("/sample", { n: 1, seed: seed() }, signal);
    $("dials-seed").value = seed() + 1;
    state.setZ(sample.z[0]);
  });
  $("to-mu").onclick = () => state.follow();
  $("to-zero").onclick = () => state.setZ(state.z.map(() => 0));
  $("to-random").onclick = () => draw.ask();
  attach($("dials"), () => ({ calls: [["/decode", { z: [state.z] }]], ending: ["print(p.mean)"] }));
}

function dial(j, state) {
  const range = Object.assign(document.createElement("input"), { type: "range", min: -REACH, max: REACH, step: 0.01, id: `dial-${j}` });
  const output = Object.assign(document.createElement("output"), { htmlFor: range.id });
  const label = Object.assign(document.createElement("label"), { htmlFor: range.id, textContent: `z${subscript(j)}` });
  label.title = `${fixed(state.meanKl[j], 2)} nats on average`;
  const box = Object.assign(document.createElement("div"), { className: "dial" });
  box.append(label, range, output);
  range.oninput = () => state.setZ(state.z.map((v, i) => (i === j ? range.valueAsNumber : v)));
  const show = () => {
    const reach = Math.max(REACH, Math.ceil(Math.abs(state.z[j])));
    range.min = -reach;
    range.max = reach;
    if (range.valueAsNumber !== state.z[j]) range.value = state.z[j];
    output.value = `${fixed(state.z[j])} σ`;
  };
  return { box, show };
}

export function map(state) {
  const { data } = state;
  if (state.busiest.length < 2) return void ($("map").hidden = true);
  const size = Math.max(5, Math.min(15, Math.floor(Math.sqrt(200000 / data.dim))));
  const steps = Array.from({ length: size }, (_, i) => quantile((i + 0.5) / size));
  const axes = () => [Number($("across").value), Number($("up").value)];
  let asked, rows, at;
  choices(state);
  const latentsOf = () => {
    const [a, b] = axes();
    const z = (row, column) => rounded(state.z.map((v, j) => (j === a ? steps[column] : j === b ? steps[size - 1 - row] : v)));
    return Array.from({ length: size * size }, (_, i) => z(Math.floor(i / size), i % size));
  };
  const answer = new Latest($("map"), async (signal) => {
    const z = latentsOf();
    if (JSON.stringify(z) === asked) return;
    const p = await call("/decode", { z }, signal);
    asked = JSON.stringify(z);
    rows = rowsOf(p.mean);
    sheet($("grid"), data, rows, { columns: size, least: Math.ceil(1100 / size) });
    look(at ?? nearest());
  }, 150);
  const nearest = () => axes().map((j, i) => Math.min(size - 1, Math.floor((i ? 1 - cdf(state.z[j]) : cdf(state.z[j])) * size)));
  const look = ([column, row]) => {
    if (!rows) return;
    const [a, b] = axes();
    sheet($("lens"), data, [rows[row * size + column]]);
    $("where").textContent = `z${subscript(a)} = ${fixed(steps[column])}, z${subscript(b)} = ${fixed(steps[size - 1 - row])}`;
    Object.assign($("cell").style, { left: `${(100 * column) / size}%`, top: `${(100 * row) / size}%`, width: `${100 / size}%`, height: `${100 / size}%` });
    $("cell").hidden = !at;
  };
  const set = () => {
    const [a, b] = axes();
    const [column, row] = at ?? nearest();
    state.setZ(state.z.map((v, j) => (j === a ? steps[column] : j === b ? steps[size - 1 - row] : v)));
  };
  const plane = $("plane");
  const under = (event) => {
    const box = plane.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((t) => Math.min(size - 1, Math.max(0, Math.floor(t * size))));
  };
  plane.addEventListener("pointermove", (event) => look((at = under(event))));
  plane.addEventListener("pointerleave", () => look(((at = null), nearest())));
  plane.addEventListener("click", (event) => ((at = under(event)), set()));
  plane.addEventListener("blur", () => rows && look(((at = null), nearest())));
  plane.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (!step) return set();
    at = (at ?? nearest()).map((v, i) => Math.min(size - 1, Math.max(0, v + step[i])));
    look(at);
    state.announce($("where").textContent);
  });
  const place = () => dots(state, axes());
  state.on("z", () => (answer.ask(), place()));
  for (const id of ["across", "up"]) {
    $(id).addEventListener("change", (event) => {
      keepApart(event.target, state);
      answer.ask();
      place();
    });
  }
  $("points").addEventListener("change", place);
  attach($("map"), () => ({ calls: [["/decode", { z: latentsOf() }]] }));
}

function choices(state) {
  for (const [i, id] of ["across", "up"].entries()) {
    $(id).append(...state.busiest.map((j) => new Option(`z${subscript(j)}`, j)));
    $(id).value = state.busiest[i];
  }
  $("points-field").hidden = !state.examples.length;
  $("points").checked = Boolean(state.labels);
}

function keepApart(changed, state) {
  const other = changed.id === "across" ? $("up") : $("across");
  if (other.value === changed.value) other.value = state.busiest.find((j) => String(j) !== changed.value);
}

// Where the encoder puts the examples, and where the dials are.
function dots(state, [a, b]) {
  const at = (z) => [100 * cdf(z[a]), 100 * (1 - cdf(z[b]))];
  const dot = (z, radius, css) => {
    const [cx, cy] = at(z);
    return svg("ellipse", { cx, cy, rx: radius, ry: radius * ($("plane").clientWidth / $("plane").clientHeight || 1), class: css });
  };
  const marks = [];
  const kinds = [...new Set(state.labels ?? [])].sort((p, q) => p - q);
  if ($("points").checked) {
    state.means.forEach((mu, i) => {
      const mark = dot(mu, 1.15, "dot");
      mark.style.fill = state.labels ? hue(kinds.indexOf(state.labels[i])) : "var(--ochre)";
      marks.push(mark);
    });
  }
  $("dots").replaceChildren(...marks, dot(state.z, 1.9, "here halo"), dot(state.z, 1.9, "here"));
  $("legend").replaceChildren(
    ...($("points").checked ? kinds.map((kind, i) => {
      const [item, swatch] = [document.createElement("li"), document.createElement("i")];
      swatch.style.background = hue(i);
      item.append(swatch, kind);
      return item;
    }) : []),
  );
}

const HUES = ["#4e8fd0", "#e08a3c", "#57a85a", "#d35b5b", "#9a78c4", "#a5755f", "#dc82b8", "#8a8f98", "#bdb13b", "#3fb3c2"];
const hue = (i) => HUES[i] ?? `hsl(${(i * 137.5) % 360} 55% 58%)`;
