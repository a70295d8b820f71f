// Where x is made: a drawing pad for pictures, a table of numbers for anything else.
import { fixed } from "./maths.js";
import { sheet } from "./data.js";

const MOST = 200;

function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

export class Pad {
  #data; #changed; #canvas; #cursor; #at; #last; #tools;

  constructor(place, data, changed) {
    this.#data = data;
    this.#changed = changed;
    this.#at = [data.height >> 1, data.width >> 1];
    this.x = new Array(data.dim).fill(data.limits[0]);
    this.#canvas = made("canvas", { className: "shown" });
    this.#cursor = made("i", { className: "cursor" });
    const pad = made("div", { className: "pad", tabIndex: 0 }, this.#canvas, this.#cursor);
    pad.setAttribute("role", "application");
    pad.setAttribute("aria-label", `Drawing pad, ${data.height} by ${data.width}: arrow keys move, Space paints, Delete erases, Shift with an arrow paints on the way`);
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
    const width = Math.max(1, Math.min(6, Math.round(data.width / 12)));
    this.#tools = {
      erase: made("input", { type: "checkbox" }),
      soft: made("input", { type: "checkbox", checked: !data.binary }),
      size: made("input", { type: "range", min: 1, max: 6, step: 0.5, value: width }),
      ink: made("input", { type: "color", value: "#e0a030" }),
    };
    const label = (name, words) => made("label", {}, this.#tools[name], ` ${words}`);
    const clear = made("button", { type: "button", textContent: "Clear" });
    clear.onclick = () => {
      this.x.fill(data.limits[0]);
      this.#show();
      this.#changed();
    };
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
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const erases = ["Delete", "Backspace"].includes(event.key);
    if (!step && !erases && event.key !== " " && event.key !== "Enter") return;
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
    this.#at = [Math.min(height - 1, Math.max(0, this.#at[0] + down)), Math.min(width - 1, Math.max(0, this.#at[1] + right))];
    Object.assign(this.#cursor.style, {
      top: `${(100 * this.#at[0]) / height}%`, left: `${(100 * this.#at[1]) / width}%`,
      height: `${100 / height}%`, width: `${100 / width}%`,
    });
  }

  #stroke([row, column]) {
    const [fromRow, fromColumn] = this.#last;
    const n = Math.max(1, Math.ceil(2 * Math.hypot(row - fromRow, column - fromColumn)));
    for (let i = 1; i <= n; i++) {
      this.#dab(fromRow + ((row - fromRow) * i) / n, fromColumn + ((column - fromColumn) * i) / n, Number(this.#tools.size.value) / 2 + 0.1, this.#tools.erase.checked);
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
        const cover = this.#tools.soft.checked ? Math.min(1, Math.max(0, inside)) : Number(inside > 0.5 || (i === Math.floor(row) && j === Math.floor(column)));
        for (let c = 0; c < channels; c++) {
          const k = (i * width + j) * channels + c;
          const target = erases ? low : low + ink[c] * (high - low);
          const mixed = this.x[k] + cover * (target - this.x[k]);
          const next = channels === 1 && !erases ? Math.max(this.x[k], low + cover * (high - low)) : mixed;
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
    this.#plot = made("canvas", { className: "shown wide" });
    this.#plot.setAttribute("role", "img");
    this.#plot.setAttribute("aria-label", "Plot of x");
    this.#body = made("tbody");
    const head = made("tr");
    for (const name of ["d", "x", "E[x|z]", ...(data.kind === "gaussian" ? ["± σ"] : [])]) head.append(made("th", { scope: "col", textContent: name }));
    place.append(this.#plot, made("div", { className: "scroll" }, made("table", {}, made("thead", {}, head), this.#body)));
    this.#body.addEventListener("input", (event) => {
      if (event.target.value === "" || !event.target.validity.valid) return;
      this.x[event.target.dataset.d] = event.target.valueAsNumber;
      this.#show();
      changed();
    });
    this.#rows(head.children.length);
  }

  #rows(n) {
    for (let d = 0; d < Math.min(MOST, this.#data.dim); d++) {
      const input = made("input", { type: "number", step: "any" });
      input.setAttribute("aria-label", `x ${d}`);
      input.dataset.d = d;
      const row = made("tr", {}, made("th", { scope: "row", textContent: d }), made("td", {}, input));
      for (let i = 2; i < n; i++) row.append(made("td"));
      this.#body.append(row);
    }
    if (this.#data.dim > MOST) this.#body.append(made("tr", {}, made("td", { colSpan: n, textContent: `and ${this.#data.dim - MOST} more` })));
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
