// The few formulas that the page needs beside the service.

// Distribution function of the standard normal (Abramowitz & Stegun 7.1.26, to 1e-7).
const TERMS = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0];

function cdf(z) {
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

// The share of the prior below z_j, as if it were the normal of its mean and sigma.
export const below = (z, j, { mean, sigma }) => cdf((z[j] - mean[j]) / sigma[j]);

// KL of every dimension of q(z|x) to the normal of the prior's mean and sigma, in nats.
export function kl(mu, logVar, { mean, sigma }) {
	const excess = (v, j) => ((v - mean[j]) ** 2 + Math.exp(logVar[j])) / sigma[j] ** 2 - 1 - logVar[j];
	return mu.map((v, j) => 0.5 * excess(v, j) + Math.log(sigma[j]));
}

// n draws of N(0, I) from a seed (xorshift32, Marsaglia 2003).
export function normals(seed, n, dims) {
	let state = Math.imul(seed + 1, 0x9e3779b1) || 1; // never 0, where it stays
	const normal = () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return quantile((state >>> 0) / 2 ** 32);
	};
	return Array.from({ length: n }, () => Array.from({ length: dims }, normal));
}

// What is sent is what "as Python" shows: six decimals are enough for a float32.
export const rounded = (z) => z.map((v) => Number(v.toFixed(6)));

export const fixed = (v, digits = 2) => v.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
