// Where x is made: a drawing pad for pictures, a table of numbers for anything else.
import { sheet } from "./data.js";
import { arrow, clamp, made, picture } from "./dom.js";
import { fixed } from "./maths.js";

const MOST = 200;

export class Pad {
  #data; #changed; #canvas; #cursor; #at; #last; #tools;

  constructor(place, data, changed) {
    this.#data = data;
    this.#changed = changed;
    this.#at = [data.height >> 1, data.width >> 1];
    this.x = new Array(data.dim).fill(data.limits[0]);
    this.#canvas = made("canvas", { className: "shown" });
    this.#cursor = made("i", { className: "cursor" });
    const label = `Drawing pad, ${data.height} by ${data.width}: arrows move, Space paints, Delete erases, Shift and an arrow paint on the way`;
    const pad = made("div", { className: "pad", tabIndex: 0, role: "application", "aria-label": label }, this.#canvas, this.#cursor);
    place.append(pad, this.#toolbar());
    pad.addEventListener("keydown", (event) => this.#key(event));
    this.#pointer(pad);
    this.#move(0, 0);
  }

  set(x) {
    this.x = [...x];
    this.#show();
  }

  #toolbar() {
    const data = this.#data;
    const width = clamp(Math.round(data.width / 12), 1, 6);
    this.#tools = {
      erase: made("input", { type: "checkbox" }),
      soft: made("input", { type: "checkbox", checked: !data.binary }),
      size: made("input", { type: "range", min: 1, max: 6, step: 0.5, value: width }),
      ink: made("input", { type: "color", value: "#e0a030" }),
    };
    const label = (name, words) => made("label", {}, this.#tools[name], ` ${words}`);
    const onclick = () => {
      this.x.fill(data.limits[0]);
      this.#show();
      this.#changed();
    };
    const clear = made("button", { type: "button", onclick }, "Clear");
    const tools = [clear, label("erase", "Erase"), label("soft", "Soft")];
    if (data.channels === 3) tools.push(label("ink", "Ink"));
    tools.push(made("label", {}, "Brush ", this.#tools.size));
    return made("div", { className: "controls tools" }, ...tools);
  }

  #pointer(pad) {
    const at = (event) => {
      const box = this.#canvas.getBoundingClientRect();
      return [((event.clientY - box.top) / box.height) * this.#data.height, ((event.clientX - box.left) / box.width) * this.#data.width];
    };
    pad.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      pad.setPointerCapture(event.pointerId);
      this.#last = at(event);
      this.#stroke(this.#last);
    });
    pad.addEventListener("pointermove", (event) => this.#last && this.#stroke(at(event)));
    for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => (this.#last = null));
  }

  #key(event) {
    const step = arrow(event.key);
    const erases = ["Delete", "Backspace"].includes(event.key);
    if (!step && !erases && event.key !== " ") return;
    event.preventDefault();
    if (step) this.#move(...step);
    if (step && !event.shiftKey) return;
    const [row, column] = this.#at;
    this.#dab(row + 0.5, column + 0.5, 0.6, erases);
    this.#show();
    this.#changed();
  }

  #move(down, right) {
    const { height, width } = this.#data;
    this.#at = [clamp(this.#at[0] + down, 0, height - 1), clamp(this.#at[1] + right, 0, width - 1)];
    Object.assign(this.#cursor.style, {
      top: `${(100 * this.#at[0]) / height}%`, left: `${(100 * this.#at[1]) / width}%`,
      height: `${100 / height}%`, width: `${100 / width}%`,
    });
  }

  #stroke([row, column]) {
    const [fromRow, fromColumn] = this.#last;
    const n = Math.max(1, Math.ceil(2 * Math.hypot(row - fromRow, column - fromColumn)));
    for (let i = 1; i <= n; i++) {
      const [y, x] = [fromRow + ((row - fromRow) * i) / n, fromColumn + ((column - fromColumn) * i) / n];
      this.#dab(y, x, Number(this.#tools.size.value) / 2 + 0.1, this.#tools.erase.checked);
    }
    this.#last = [row, column];
    this.#show();
    this.#changed();
  }

  // Values are those of the model's range: ink is its upper end, or the colour chosen.
  #dab(row, column, radius, erases) {
    const { height, width, channels, limits: [low, high] } = this.#data;
    const ink = channels === 3 ? [1, 3, 5].map((i) => parseInt(this.#tools.ink.value.slice(i, i + 2), 16) / 255) : [1];
    for (let i = Math.max(0, Math.floor(row - radius)); i < Math.min(height, row + radius); i++) {
      for (let j = Math.max(0, Math.floor(column - radius)); j < Math.min(width, column + radius); j++) {
        const inside = radius + 0.5 - Math.hypot(i + 0.5 - row, j + 0.5 - column);
        const under = i === Math.floor(row) && j === Math.floor(column);
        const cover = this.#tools.soft.checked ? clamp(inside, 0, 1) : Number(under || inside > 0.5);
        for (let c = 0; c < channels; c++) {
          const k = (i * width + j) * channels + c;
          const target = erases ? low : low + ink[c] * (high - low);
          const lighter = Math.max(this.x[k], low + cover * (high - low));
          const next = channels === 1 && !erases ? lighter : this.x[k] + cover * (target - this.x[k]);
          if (next !== this.x[k]) this.x[k] = Number(next.toFixed(4));
        }
      }
    }
  }

  #show() {
    sheet(this.#canvas, this.#data, [this.x]);
  }
}

export class Table {
  #data; #body; #plot;

  constructor(place, data, changed) {
    this.#data = data;
    this.x = new Array(data.dim).fill(0);
    this.#plot = picture("Plot of x");
    this.#body = made("tbody");
    const names = ["d", "x", "E[x|z]", ...(data.kind === "gaussian" ? ["± σ"] : [])];
    const head = made("tr", {}, ...names.map((name) => made("th", { scope: "col" }, name)));
    const table = made("table", {}, made("thead", {}, head), this.#body);
    place.append(this.#plot, made("div", { className: "scroll" }, table));
    this.#body.addEventListener("input", (event) => {
      if (event.target.value === "" || !event.target.validity.valid) return;
      this.x[event.target.dataset.d] = event.target.valueAsNumber;
      this.#show();
      changed();
    });
    this.#rows(names.length);
  }

  #rows(n) {
    for (let d = 0; d < Math.min(MOST, this.#data.dim); d++) {
      const input = made("input", { type: "number", step: "any", "aria-label": `x ${d}` });
      input.dataset.d = d;
      const row = made("tr", {}, made("th", { scope: "row", textContent: d }), made("td", {}, input));
      for (let i = 2; i < n; i++) row.append(made("td"));
      this.#body.append(row);
    }
    const rest = this.#data.dim - MOST;
    if (rest > 0) this.#body.append(made("tr", {}, made("td", { colSpan: n }, `and ${rest} more`)));
  }

  set(x) {
    this.x = [...x];
    this.#body.querySelectorAll("input").forEach((input, d) => (input.value = this.x[d]));
    this.#show();
  }

  answer(mean, logVar) {
    this.#body.querySelectorAll("tr:has(input)").forEach((row, d) => {
      row.children[2].textContent = fixed(mean[d], 3);
      if (logVar) row.children[3].textContent = fixed(Math.exp(logVar[d] / 2), 3);
    });
  }

  #show() {
    sheet(this.#plot, this.#data, [this.x]);
  }
}
