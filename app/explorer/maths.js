// The few formulas that the page needs beside the service.

// Inverse of the standard normal distribution function (Acklam; relative error 1e-9).
const A = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
const B = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1];
const C = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
const D = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1];
const horner = (coefficients, t) => coefficients.reduce((sum, c) => sum * t + c, 0);

export function quantile(p) {
  if (p > 0.5) return -quantile(1 - p);
  if (p < 0.02425) {
    const t = Math.sqrt(-2 * Math.log(p));
    return horner(C, t) / horner(D, t);
  }
  const t = p - 0.5;
  return (horner(A, t * t) * t) / horner(B, t * t);
}

// Its inverse by bisection: exact enough, and monotone by construction.
export function cdf(z) {
  let low = 1e-9, high = 1 - 1e-9;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (quantile(middle) < z) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

// KL(N(mu, sigma^2) || N(0, 1)) in nats (AEVB, Appendix B).
export const kl = (mu, logVar) => 0.5 * (mu * mu + Math.exp(logVar) - 1 - logVar);

export const line = (a, b, t) => a.map((v, j) => (1 - t) * v + t * b[j]);
export const norm = (a) => Math.sqrt(a.reduce((sum, v) => sum + v * v, 0));

// Turn from a to b at an even rate, the norm going evenly too (slerp, White 2016).
export function greatCircle(a, b, t) {
  const [p, q] = [norm(a), norm(b)];
  if (!p || !q || a.length < 2) return line(a, b, t);
  const cosine = a.reduce((sum, v, j) => sum + v * b[j], 0) / p / q;
  const omega = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(omega) < 1e-6) return line(a, b, t);
  const [u, v] = [Math.sin((1 - t) * omega), Math.sin(t * omega)].map((s) => s / Math.sin(omega));
  const length = (1 - t) * p + t * q;
  return a.map((value, j) => length * ((u * value) / p + (v * b[j]) / q));
}

// What is sent is what "as Python" shows: six decimals are more than a float32 tells.
export const rounded = (z) => z.map((v) => Number(v.toFixed(6)));
export const mean = (rows, j) => rows.reduce((sum, row) => sum + row[j], 0) / rows.length;

export function fixed(value, digits = 2) {
  return value.toFixed(digits).replace(/^-(?=[\d.]*[1-9])/, "−").replace(/^-/, "");
}
