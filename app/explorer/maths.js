// The few formulas that the page needs beside the service.
import { clamp } from "./dom.js";

// Distribution function of the standard normal (Abramowitz & Stegun 7.1.26, to 1e-7).
const TERMS = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0];

export function cdf(z) {
	const t = 1 / (1 + (0.3275911 * Math.abs(z)) / Math.SQRT2);
	const tail = TERMS.reduce((sum, c) => sum * t + c) * Math.exp((-z * z) / 2) / 2;
	return z < 0 ? tail : 1 - tail;
}

// Its inverse, by bisection.
export function quantile(p) {
	let [low, high] = [-6, 6];
	for (let i = 0; i < 40; i++) {
		const middle = (low + high) / 2;
		if (cdf(middle) < p) low = middle;
		else high = middle;
	}
	return low;
}

// KL(N(mu, sigma^2) || N(0, 1)) in nats (AEVB, Appendix B).
export const kl = (mu, logVar) => 0.5 * (mu * mu + Math.exp(logVar) - 1 - logVar);

// n draws of N(0, I) from a seed (mulberry32; Box & Muller).
export function normals(seed, n, dims) {
	let state = seed;
	const uniform = () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
	};
	const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
	return Array.from({ length: n }, () => Array.from({ length: dims }, normal));
}

export const line = (a, b, t) => a.map((v, j) => (1 - t) * v + t * b[j]);
const dot = (a, b) => a.reduce((sum, v, j) => sum + v * b[j], 0);
export const norm = (a) => Math.sqrt(dot(a, a));

// Turn from a to b at an even rate, the norm going evenly too (slerp, White 2016).
export function greatCircle(a, b, t) {
	const [p, q] = [norm(a), norm(b)];
	const omega = Math.acos(clamp(dot(a, b) / p / q, -1, 1));
	if (!(Math.sin(omega) > 1e-6)) return line(a, b, t); // parallel, opposite, or 0
	const [u, v] = [(1 - t) * omega, t * omega].map((angle) => Math.sin(angle) / Math.sin(omega));
	const length = (1 - t) * p + t * q;
	return a.map((one, j) => length * ((u * one) / p + (v * b[j]) / q));
}

// What is sent is what "as Python" shows: six decimals are enough for a float32.
export const rounded = (z) => z.map((v) => Number(v.toFixed(6)));

export const fixed = (v, digits = 2) => v.toFixed(digits).replace(/^-0*\.?0*$/, (zero) => zero.slice(1)).replace("-", "−");
