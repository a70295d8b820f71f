// Charts in SVG, coloured by the style sheet.
import { fixed } from "./maths.js";

export const subscript = (n) => String(n).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d]);
const MOST = 64;

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const text = (x, y, content, anchor = "middle") => svg("text", { x, y, "text-anchor": anchor }, content);

function placed(place, label, width, height, children) {
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  picture.append(...children);
  place.replaceChildren(picture);
}

// mu and sigma of every dimension above, its KL below. Of very many, the costliest.
export function latents(place, { mu, sigma, kl }) {
  const width = Math.max(260, place.clientWidth);
  const order = mu.map((_, j) => j);
  const shown = order.length <= MOST ? order : order.sort((a, b) => kl[b] - kl[a]).slice(0, MOST).sort((a, b) => a - b);
  const [left, top, middle, bottom, base] = [30, 12, 132, 152, 214];
  const reach = Math.max(3, ...shown.map((j) => Math.abs(mu[j]) + sigma[j]));
  const most = Math.max(0.5, ...shown.map((j) => kl[j]));
  const step = (width - left - 6) / shown.length;
  const y = (v) => (top + middle) / 2 - (v / reach) * ((middle - top) / 2);
  const bar = Math.min(22, Math.max(1.5, step * 0.62));
  const children = [svg("rect", { class: "prior", x: left, y: y(1), width: width - left, height: y(-1) - y(1) })];
  for (const v of [-2, 0, 2]) {
    children.push(svg("line", { class: v ? "grid" : "axis", x1: left, x2: width, y1: y(v), y2: y(v) }));
    children.push(text(left - 6, y(v) + 4, fixed(v, 0), "end"));
  }
  children.push(svg("line", { class: "axis", x1: left, x2: width, y1: base, y2: base }));
  children.push(text(left - 6, base + 3, "0", "end"), text(left - 6, bottom + 7, fixed(most, 1), "end"));
  shown.forEach((j, i) => {
    const x = left + (i + 0.5) * step;
    const height = ((base - bottom) * Math.max(0, kl[j])) / most;
    const label = `z${subscript(j)}: μ ${fixed(mu[j])}, σ ${fixed(sigma[j])}, KL ${fixed(kl[j])} nats`;
    const group = svg("g", {}, svg("title", {}, label));
    group.append(svg("rect", { class: "hit", x: x - step / 2, y: top, width: step, height: base - top }));
    group.append(svg("rect", { class: "sigma", x: x - bar / 2, y: y(mu[j] + sigma[j]), width: bar, height: y(mu[j] - sigma[j]) - y(mu[j] + sigma[j]), rx: 2 }));
    group.append(svg("rect", { class: "mu", x: x - bar / 2, y: y(mu[j]) - 1.25, width: bar, height: 2.5 }));
    group.append(svg("rect", { class: "kl", x: x - bar / 2, y: base - height, width: bar, height, rx: 1 }));
    if (step > 15 || i % Math.ceil(18 / step) === 0) group.append(text(x, base + 15, j));
    children.push(group);
  });
  const left_out = mu.length - shown.length;
  children.push(text(left, top - 2, "μ ± σ", "start"), text(left, bottom - 4, `KL, nats${left_out ? ` (${left_out} smaller ones left out)` : ""}`, "start"));
  placed(place, `Means, standard deviations and KL of ${mu.length} latent dimensions`, width, base + 20, children);
}

// The terms on one axis: from 0 by the log likelihood, from there by the KL, to the ELBO.
export function terms(place, { elbo, logLikelihood }, heldOut) {
  const width = Math.max(260, place.clientWidth);
  const quantiles = heldOut?.quantiles;
  const ends = [0, elbo, logLikelihood, ...(quantiles ? [quantiles[1], quantiles[99]] : [])];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const room = 0.03 * (high - low || 1);
  const x = (v) => 8 + ((v - low + room) / (high - low + 2 * room)) * (width - 16);
  const span = (a, b, css, y, height) => svg("rect", { class: css, x: Math.min(x(a), x(b)), y, width: Math.max(1, Math.abs(x(a) - x(b))), height, rx: 2 });
  const children = [span(0, logLikelihood, "likelihood", 20, 16), span(logLikelihood, elbo, "kl", 20, 16)];
  let base = 46;
  if (quantiles) {
    children.push(span(quantiles[5], quantiles[95], "held", 44, 8), span(quantiles[25], quantiles[75], "held more", 44, 8));
    children.push(svg("line", { class: "median", x1: x(quantiles[50]), x2: x(quantiles[50]), y1: 42, y2: 54 }));
    base = 60;
  }
  children.push(svg("line", { class: "axis", x1: 8, x2: width - 8, y1: base, y2: base }));
  for (const v of ticks(low, high, width)) {
    children.push(svg("line", { class: "axis", x1: x(v), x2: x(v), y1: base, y2: base + 4 }), text(x(v), base + 17, fixed(v, 0)));
  }
  const anchor = x(elbo) < 60 ? "start" : x(elbo) > width - 60 ? "end" : "middle";
  children.push(svg("line", { class: "marker", x1: x(elbo), x2: x(elbo), y1: 16, y2: base }), text(x(elbo), 12, "this x", anchor));
  placed(place, `ELBO ${fixed(elbo, 1)} nats`, width, base + 22, children);
}

function ticks(low, high, width) {
  const rough = (high - low) / Math.max(2, width / 110) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, power * [1, 2, 5, 10].find((m) => m * power >= rough));
  const values = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) values.push(v);
  return values;
}
