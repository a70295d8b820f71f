// Charts in SVG, colored by the style sheet.
import { clamp } from "./dom.js";
import { fixed } from "./maths.js";

export function svg(name, attributes = {}, ...children) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
	element.append(...children);
	return element;
}

export const text = (x, y, content, anchor = "middle") => svg("text", { x, y, "text-anchor": anchor }, content);
export const line = (css, x1, x2, y1, y2) => svg("line", { class: css, x1, x2, y1, y2 });
export const rect = (css, x, y, width, height, rx = 0) => svg("rect", { class: css, x, y, width, height, rx });

export function placed(place, label, width, height, children) {
	const attributes = { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label };
	place.replaceChildren(svg("svg", attributes, ...children));
}

// mu and sigma of every dimension above, on those of the prior, its KL below. Of very
// many, the costliest.
export function latents(place, { mu, sigma, kl }, prior) {
	const width = Math.max(200, place.clientWidth);
	const shown = [...mu.keys()].sort((a, b) => kl[b] - kl[a]).slice(0, 64).sort((a, b) => a - b);
	const [left, top, middle, bottom, base] = [30, 12, 132, 152, 214];
	const reach = Math.max(...shown.flatMap((j) => [Math.abs(mu[j]) + sigma[j], Math.abs(prior.mean[j]) + 3 * prior.sigma[j]]));
	const most = Math.max(0.5, ...shown.map((j) => kl[j]));
	const step = (width - left - 6) / shown.length;
	const y = (v) => (top + middle) / 2 - (v / reach) * ((middle - top) / 2);
	const bar = clamp(step * 0.62, 1.5, 22);
	const every = Math.ceil((7 * String(shown.at(-1)).length + 5) / step); // a digit takes 7
	const band = (css, x, breadth, m, s, rx) => rect(css, x, y(m + s), breadth, y(m - s) - y(m + s), rx);
	const children = shown.map((j, i) => band("prior", left + i * step, step, prior.mean[j], prior.sigma[j]));
	for (const v of ticks(-reach, reach, 500)) {
		children.push(line(v ? "grid" : "axis", left, width, y(v), y(v)));
		children.push(text(left - 6, y(v) + 4, fixed(v, 0), "end"));
	}
	children.push(line("axis", left, width, base, base));
	children.push(text(left - 6, base + 3, "0", "end"), text(left - 6, bottom + 7, fixed(most, 1), "end"));
	shown.forEach((j, i) => {
		const x = left + (i + 0.5) * step;
		const height = ((base - bottom) * Math.max(0, kl[j])) / most;
		const edge = x - bar / 2;
		children.push(band("sigma", edge, bar, mu[j], sigma[j], 2), rect("mu", edge, y(mu[j]) - 1.25, bar, 2.5), rect("kl", edge, base - height, bar, height, 1));
		if (i % every === 0) children.push(text(x, base + 15, j));
	});
	const rest = mu.length - shown.length;
	children.push(text(left, top - 2, "μ ± σ", "start"));
	children.push(text(left, bottom - 7, `KL${prior.of}, nats${rest ? ` (without the ${rest} smallest)` : ""}`, "start"));
	placed(place, `Means, standard deviations and KL of ${mu.length} latent dimensions`, width, base + 20, children);
}

// The terms on one axis: from 0 by the log likelihood, from there by the KL, to the ELBO.
export function terms(place, { elbo, logLikelihood }, heldOut) {
	const width = Math.max(200, place.clientWidth);
	const quantiles = heldOut?.quantiles;
	const ends = [0, elbo, logLikelihood, quantiles?.[1] ?? 0, quantiles?.[99] ?? 0];
	const [low, high] = [Math.min(...ends), Math.max(...ends)];
	const room = 0.03 * (high - low || 1);
	const x = (v) => 8 + ((v - low + room) / (high - low + 2 * room)) * (width - 16);
	const span = (a, b, css, y, height) => rect(css, Math.min(x(a), x(b)), y, Math.max(1, Math.abs(x(a) - x(b))), height, 2);
	const children = [span(0, logLikelihood, "likelihood", 20, 16), span(logLikelihood, elbo, "kl", 20, 16)];
	let base = 46;
	if (quantiles) {
		children.push(span(quantiles[5], quantiles[95], "held", 44, 8), span(quantiles[25], quantiles[75], "held more", 44, 8));
		children.push(line("marker", x(quantiles[50]), x(quantiles[50]), 42, 54));
		base = 60;
	}
	children.push(line("axis", 8, width - 8, base, base));
	for (const v of ticks(low, high, width)) {
		children.push(line("axis", x(v), x(v), base, base + 4), text(x(v), base + 17, fixed(v, 0)));
	}
	children.push(line("marker", x(elbo), x(elbo), 16, base), text(clamp(x(elbo), 20, width - 20), 12, "this x"));
	placed(place, `ELBO ${fixed(elbo, 1)} nats`, width, base + 22, children);
}

// Round numbers between two, at least `least` from each other.
export function ticks(low, high, width, least = 1) {
	const rough = (high - low) / (width / 110) || 1;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = Math.max(least, power * [1, 2, 5, 10].find((m) => m * power >= rough));
	const values = [];
	for (let k = Math.ceil(low / step); k * step <= high; k++) values.push(Number((k * step).toPrecision(12)) + 0); // no −0
	return values;
}
