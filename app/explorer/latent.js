// The latent space: dials for its busiest dimensions, and a map of two of them.
import { Latest, call } from "./api.js";
import { svg } from "./chart.js";
import { rowsOf, sheet } from "./data.js";
import { $, arrow, clamp, made, onChange, seed, subscript } from "./dom.js";
import { cdf, fixed, quantile, rounded } from "./maths.js";
import { attach } from "./snippet.js";

const REACH = 3;
const MOST_DIALS = 8;

export function dials(state) {
  const { data } = state;
  const shown = state.busiest.slice(0, MOST_DIALS);
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
    const sample = await call("/sample", { n: 1, seed: seed("dials-seed") }, signal);
    $("dials-seed").value = seed("dials-seed") + 1;
    state.setZ(sample.z[0]);
  });
  $("to-mu").onclick = () => state.follow();
  $("to-zero").onclick = () => state.setZ(state.z.map(() => 0));
  $("to-random").onclick = () => draw.ask();
  attach($("dials"), () => ({ calls: [["/decode", { z: [state.z] }]], ending: ["print(p.mean)"] }));
}

function dial(j, state) {
  const id = `dial-${j}`;
  const title = `${fixed(state.meanKl[j], 2)} nats of KL on average`;
  const range = made("input", { type: "range", min: -REACH, max: REACH, step: 0.01, id });
  const output = made("output", { htmlFor: id });
  const box = made("div", { className: "dial", title }, made("label", { htmlFor: id }, `z${subscript(j)}`), range, output);
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
  const size = data.isImage ? clamp(Math.floor(Math.sqrt(200000 / data.dim)), 5, 15) : 7;
  const steps = Array.from({ length: size }, (_, i) => quantile((i + 0.5) / size));
  const axes = () => [Number($("across").value), Number($("up").value)];
  const within = (v) => clamp(Math.floor(v), 0, size - 1);
  let asked, rows, at; // at: the row and column that is looked at
  choices(state);
  const put = (z, [row, column]) => {
    const [a, b] = axes();
    return rounded(z.map((v, j) => (j === a ? steps[column] : j === b ? steps[size - 1 - row] : v)));
  };
  const latentsOf = () => {
    const z = $("others").value === "dials" ? state.z : state.z.map(() => 0);
    return Array.from({ length: size * size }, (_, i) => put(z, [Math.floor(i / size), i % size]));
  };
  const nearest = () => {
    const [a, b] = axes().map((j) => cdf(state.z[j]));
    return [within((1 - b) * size), within(a * size)];
  };
  const look = (where) => {
    at = where;
    if (!rows) return;
    const [row, column] = at ?? nearest();
    const [a, b] = axes();
    sheet($("lens"), data, [rows[row * size + column]]);
    $("where").textContent = `z${subscript(a)} = ${fixed(steps[column])}, z${subscript(b)} = ${fixed(steps[size - 1 - row])}`;
    const percent = (n) => `${(100 * n) / size}%`;
    Object.assign($("cell").style, { top: percent(row), left: percent(column), width: percent(1), height: percent(1) });
    $("cell").hidden = !at;
  };
  const answer = new Latest($("map"), async (signal) => {
    const z = latentsOf();
    if (JSON.stringify(z) !== asked) {
      rows = rowsOf((await call("/decode", { z }, signal)).mean);
      asked = JSON.stringify(z);
      sheet($("grid"), data, rows, { columns: size, least: Math.ceil(1100 / size) });
    }
    look(at);
  }, 150);
  // In a click the dials take the other dimensions from where the map has them.
  const set = () => state.setZ(put(latentsOf()[0], at ?? nearest()));
  const plane = $("plane");
  const under = (event) => {
    const box = plane.getBoundingClientRect();
    return [((event.clientY - box.top) / box.height) * size, ((event.clientX - box.left) / box.width) * size].map(within);
  };
  plane.addEventListener("pointermove", (event) => look(under(event)));
  plane.addEventListener("pointerleave", () => look(null));
  plane.addEventListener("blur", () => look(null));
  plane.addEventListener("click", (event) => (look(under(event)), set()));
  plane.addEventListener("keydown", (event) => {
    const step = arrow(event.key);
    if (!step && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (!step) return set();
    look((at ?? nearest()).map((v, i) => within(v + step[i])));
    state.announce($("where").textContent);
  });
  const place = () => dots(state, axes());
  const again = () => (answer.ask(), place());
  state.on("z", again);
  onChange(["across", "up"], (event) => (keepApart(event.target, state), again()));
  onChange(["others", "points"], again);
  attach($("map"), () => ({ calls: [["/decode", { z: latentsOf() }]] }));
}

function choices(state) {
  for (const [i, id] of ["across", "up"].entries()) {
    $(id).append(...state.busiest.map((j) => new Option(`z${subscript(j)}`, j)));
    $(id).value = state.busiest[i];
  }
  $("others-field").hidden = state.busiest.length === 2;
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
  const { clientWidth, clientHeight } = $("plane");
  const dot = (z, rx, css) => {
    const [cx, cy] = at(z);
    return svg("ellipse", { cx, cy, rx, ry: (rx * clientWidth) / clientHeight || rx, class: css });
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
  const entry = (kind, i) => {
    const swatch = made("i");
    swatch.style.background = hue(i);
    return made("li", {}, swatch, String(kind));
  };
  $("legend").replaceChildren(...($("points").checked ? kinds.map(entry) : []));
}

const HUES = ["#4e8fd0", "#e08a3c", "#57a85a", "#d35b5b", "#9a78c4", "#a5755f", "#dc82b8", "#8a8f98", "#bdb13b", "#3fb3c2"];
const hue = (i) => HUES[i] ?? `hsl(${(i * 137.5) % 360} 55% 58%)`;
