// Charts of the columns of a table, for rows that were seen and rows that were drawn.
import { line, placed, rect, svg, text, ticks } from "./chart.js";
import { clamp, count, made } from "./dom.js";

const [WIDTH, TALL, N_BINS] = [240, 94, 14];
const [MOST_BARS, BAR, NAMES] = [8, 24, 92]; // of categories; the others in pixels
const HEIGHT = 380; // of two columns
const LETTER = 6.5;

const known = (rows, d) => rows.map((row) => row[d]).filter((code) => code !== null);
const percent = (share) => `${Math.round(100 * share)} %`;
const sum = (values) => values.reduce((a, b) => a + b, 0);
const written = (v) => v.toLocaleString("en", Math.abs(v) < 1e5 ? { maximumSignificantDigits: 6, useGrouping: false } : { maximumSignificantDigits: 3, notation: "compact" }).replace("-", "−");

// Words that fit in a width: names often differ at their end.
function short(words, width) {
	const n = Math.floor(width / LETTER / 2);
	return words.length * LETTER > width ? `${words.slice(0, n)}…${words.slice(1 - n)}` : words;
}

// The share of the known cells in each of n places.
function shares(rows, d, n, place) {
	const values = known(rows, d);
	const found = Array(n).fill(0);
	for (const v of values) found[place(v)] += 1 / values.length;
	return found;
}

// The values of one column, as a figure; `both` are what to compare.
export function marginal(cells, both, d) {
	const { label, categories } = cells.columns[d];
	const place = made("div", { className: "chart" });
	const [entries, children, height] = (categories ? bars : histogram)(cells, both, d);
	const said = entries.map(([words, found]) => `${words} ${found.map((share, k) => `${percent(share)} of ${both[k].what}`).join(", ")}`);
	placed(place, `${label}: ${said.join("; ")}`, WIDTH, height, children);
	const gaps = both.map(({ what, rows }) => [what, 1 - known(rows, d).length / rows.length]).filter(([, share]) => share);
	return made("figure", {}, made("figcaption", {}, made("b", {}, label), " ", gaps.map(([what, share]) => `${percent(share)} of ${what} missing`).join(", ")), place);
}

// The smallest and the largest value, but for long tails: at most half as far again as
// the middle nine tenths of the values reach.
function ends(both, d) {
	const values = both.flatMap(({ rows }) => known(rows, d)).sort((a, b) => a - b);
	if (!values.length) return [0, 0];
	const cut = Math.floor(values.length / 20);
	const [low, high] = [values[cut], values.at(-1 - cut)];
	const more = (high - low) / 2;
	return high > low ? [values.find((v) => v >= low - more), values.findLast((v) => v <= high + more)] : [values[0], values.at(-1)];
}

// Bins are whole steps of the column; what is outside is in the outermost.
function histogram(cells, both, d) {
	const step = cells.columns[d].resolution;
	const [low, high] = ends(both, d);
	const width = high - low + step;
	const size = step * Math.ceil(width / step / N_BINS - 1e-9);
	const n = Math.ceil(width / size - 1e-9);
	const found = both.map(({ rows }) => shares(rows, d, n, (v) => clamp(Math.floor((v - low) / size + 1e-9), 0, n - 1)));
	const most = Math.max(...found.flat()) || 1;
	const [x, y] = [(i) => (i * WIDTH) / n, (share) => TALL - (share / most) * (TALL - 2)];
	const drawings = both.flatMap(({ css }, k) => {
		if (css === "seen") return found[k].map((share, i) => rect(css, x(i) + 0.5, y(share), WIDTH / n - 1, TALL - y(share)));
		const path = found[k].map((share, i) => `V${y(share)}H${x(i + 1)}`).join("");
		return svg("path", { class: "step", d: `M0 ${TALL}${path}V${TALL}` });
	});
	const all = both.flatMap(({ rows }) => known(rows, d));
	const [least, greatest] = [all.some((v) => v < low) ? "≤ " : "", all.some((v) => v > high) ? "≥ " : ""];
	const axis = [line("axis", 0, WIDTH, TALL, TALL), text(0, TALL + 13, least + written(low), "start"), text(WIDTH, TALL + 13, greatest + written(high), "end")];
	return [found[0].map((_, i) => [`from ${written(low + i * size)}`, found.map((bins) => bins[i])]), [...drawings, ...axis], TALL + 16];
}

// The most frequent categories; those that have an order, and numbers, keep it.
function bars(cells, both, d) {
	const { kind, categories } = cells.columns[d];
	const n = categories.length;
	const found = both.map(({ rows }) => shares(rows, d, n + 1, (code) => code)); // the last is unseen
	const total = (code) => sum(found.map((levels) => levels[code]));
	const ranked = [...found[0].keys()].filter((code) => code < n || total(code));
	if (kind !== "ordinal" && !Number.isFinite(categories[0])) ranked.sort((a, b) => total(b) - total(a));
	const rest = ranked.splice(ranked.length > MOST_BARS ? MOST_BARS - 1 : MOST_BARS);
	const entries = ranked.map((code) => [cells.said(code, d), found.map((levels) => levels[code])]);
	if (rest.length) entries.push([`${count(rest.length)} others`, found.map((levels) => sum(rest.map((code) => levels[code])))]);
	const most = Math.max(...entries.flatMap(([, levels]) => levels)) || 1;
	const thick = (BAR - 8) / both.length;
	const drawings = entries.flatMap(([words, levels], i) => [
		text(NAMES - 8, i * BAR + 16, short(words, NAMES - 8), "end"),
		...both.map(({ css }, k) => rect(css, NAMES, i * BAR + 4 + k * thick, (levels[k] / most) * (WIDTH - NAMES), thick)),
	]);
	return [entries, drawings, entries.length * BAR + 4];
}

// Where the values of a column are on a side, and the words there. Rows of a category
// are spread over its share of the side, by a shift in [0, 1).
function side(cells, both, d, length, room) {
	const { categories } = cells.columns[d];
	if (categories) {
		const n = categories.length + both.some(({ rows }) => rows.some((row) => row[d] === categories.length));
		const at = (code, shift) => (length * (code + 0.15 + 0.7 * shift)) / n;
		const every = Math.ceil((room * n) / length);
		return [at, Array.from({ length: n }, (_, code) => [at(code, 0.5), cells.said(code, d)]).filter((_, code) => code % every === 0)];
	}
	const [low, high] = ends(both, d);
	const edge = 0.04 * (high - low) || 1;
	const at = (v) => (length * (clamp(v, low - edge, high + edge) - low + edge)) / (high - low + 2 * edge);
	return [at, ticks(low, high, 1.6 * length, 0).map((v) => [at(v), written(v)])];
}

// Two columns, a dot for each row.
export function pair(place, cells, both, [across, up]) {
	const width = place.clientWidth;
	const [y, rows] = side(cells, both, up, HEIGHT - 32, 18);
	const left = Math.min(NAMES, 12 + LETTER * Math.max(0, ...rows.map(([, words]) => words.length)));
	const [x, columns] = side(cells, both, across, width - left - 8, 72);
	const foot = HEIGHT - 24;
	const dot = (css, r) => (row, i) => {
		const shifts = [0.7548776662, 0.569840291].map((step) => (0.5 + i * step) % 1); // evenly over a square (Roberts 2018)
		return svg("circle", { class: css, r, cx: left + x(row[across], shifts[0]), cy: foot - y(row[up], shifts[1]) });
	};
	const dots = [...both].reverse().flatMap(({ css, rows }) => rows.filter((row) => row[across] !== null && row[up] !== null).map(dot(css, css === "seen" ? 3.2 : 2.2)));
	const marks = [
		...columns.flatMap(([at, words]) => [line("grid", left + at, left + at, 8, foot), text(left + at, HEIGHT - 6, short(words, 76))]),
		...rows.flatMap(([at, words]) => [line("grid", left, width - 8, foot - at, foot - at), text(left - 8, foot + 4 - at, short(words, left - 8), "end")]),
	];
	const [first, second] = [across, up].map((d) => cells.columns[d].label);
	placed(place, `${second} against ${first}: a dot for each row`, width, HEIGHT, [...marks, ...dots]);
}
