// Many at once: examples to pick, a walk between two, samples from the prior.
import { Latest, call } from "./api.js";
import { rowsOf, sheet } from "./data.js";
import { fixed, greatCircle, line, norm, rounded } from "./maths.js";
import { attach } from "./snippet.js";

const $ = (id) => document.getElementById(id);
const FRAMES = 9;

const named = (state, i) => `${state.examples.length ? "Example" : "Sample"} ${i + 1}${state.labels ? `, label ${state.labels[i]}` : ""}`;

export function examples(state) {
  const buttons = state.reference.map((row, i) => {
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    Object.assign(button, { type: "button", title: named(state, i) });
    button.setAttribute("aria-label", named(state, i));
    button.append(canvas);
    button.onclick = () => state.setX(row, "picked");
    sheet(canvas, state.data, [row]);
    return button;
  });
  $("examples").append(...buttons);
  state.on("x", () => buttons.forEach((button, i) => button.setAttribute("aria-pressed", state.x === state.reference[i])));
  $("examples-note").textContent = state.examples.length
    ? `${state.examples.length} held-out examples: the model was not trained on them.`
    : "Drawn from the model itself: this checkpoint holds no held-out examples.";
}

export function film(state) {
  const { data, reference, labels } = state;
  const other = reference.findIndex((_, i) => i > 0 && (!labels || labels[i] !== labels[0]));
  for (const id of ["from", "to"]) {
    $(id).append(new Option("x, above", "x"), ...reference.map((_, i) => new Option(named(state, i), i)));
  }
  [$("from").value, $("to").value] = ["x", Math.max(other, 0)];
  const ways = [["straight line", line], ["great circle", greatCircle]];
  const frames = ways.map(([name]) => strip(name));
  $("frames").append(...frames.map((one) => one.box));
  const code = (id) => ($(id).value === "x" ? state.q.mu : state.means[Number($(id).value)]);
  let last;
  const answer = new Latest($("film"), async (signal) => {
    const [a, b] = [code("from"), code("to")];
    const t = Array.from({ length: FRAMES }, (_, i) => i / (FRAMES - 1));
    last = ways.flatMap(([, way]) => t.map((one) => rounded(way(a, b, one))));
    const rows = rowsOf((await call("/decode", { z: last }, signal)).mean);
    frames.forEach(({ cells }, k) => cells.forEach(({ canvas, note }, i) => {
      sheet(canvas, data, [rows[k * FRAMES + i]]);
      note.textContent = fixed(norm(last[k * FRAMES + i]), 1);
    }));
  }, 60);
  state.on("q", () => answer.ask());
  for (const id of ["from", "to"]) $(id).addEventListener("change", () => answer.ask());
  attach($("film"), () => ({ calls: [["/decode", { z: last }]] }));
}

function strip(name) {
  const box = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const row = document.createElement("div");
  row.className = "film nine";
  caption.append(Object.assign(document.createElement("b"), { textContent: name }), " with the distance from 0, ‖z‖, below");
  const cells = Array.from({ length: FRAMES }, (_, i) => {
    const cell = document.createElement("div");
    const canvas = document.createElement("canvas");
    canvas.className = "shown";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name}, ${i + 1} of ${FRAMES}`);
    const note = Object.assign(document.createElement("span"), { className: "note" });
    cell.append(canvas, note);
    row.append(cell);
    return { canvas, note };
  });
  box.append(caption, row);
  return { box, cells };
}

export function samples(state) {
  const { data } = state;
  const n = Math.max(8, Math.min(64, 8 * Math.floor(200000 / data.dim / 8)));
  let rows;
  const asked = () => ({
    n,
    seed: Math.max(0, Math.round($("samples-seed").valueAsNumber) || 0),
    temperature: $("temperature").valueAsNumber,
    draw: $("draw").value,
  });
  const show = () => {
    const columns = $("dreams").parentElement.clientWidth < 560 ? (data.isImage ? 8 : 4) : data.isImage ? 16 : 8;
    sheet($("dreams"), data, rows, { columns, gap: 8, least: 84 });
  };
  const answer = new Latest($("samples"), async (signal) => {
    rows = rowsOf((await call("/sample", asked(), signal)).x);
    show();
  });
  for (const id of ["samples-seed", "draw", "temperature"]) $(id).addEventListener("input", () => {
    $("temperature-value").value = $("temperature").valueAsNumber.toFixed(2);
    answer.ask();
  });
  $("samples-new").onclick = () => {
    $("samples-seed").value = asked().seed + 1;
    answer.ask();
  };
  state.on("resize", () => rows && show());
  answer.ask();
  attach($("samples"), () => ({ calls: [["/sample", asked()]], ending: ["print(sample.x.shape)"] }));
}
