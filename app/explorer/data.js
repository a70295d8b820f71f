// What one x is, by the card of the model, and how to show it on a canvas.

import { Cells } from "./cells.js";
import { clamp, made } from "./dom.js";

const drawn = new Map(); // canvas -> how to draw it again in other colors

export class Data {
	constructor(card) {
		this.shape = card.data_shape;
		this.dim = this.shape.reduce((a, b) => a * b, 1);
		const [height, width, channels = 1] = this.shape;
		this.isImage = [2, 3].includes(this.shape.length) && [1, 3].includes(channels) && Math.min(height, width) > 1;
		Object.assign(this, { height, width, channels: this.isImage ? channels : 0 });
		this.kind = card.likelihood.kind;
		this.binary = this.kind === "bernoulli";
		this.range = card.likelihood.value_range;
		this.most = card.limits.max_rows;
		this.mostDrawn = Math.max(1, Math.min(this.most, Math.floor(card.limits.max_output_values / this.dim)));
		this.mostAnalyzed = card.limits.max_analysis_rows;
		this.columns = card.columns;
		const units = card.column_units;
		this.labels = card.columns?.map((name, d) => (units?.[d] ? `${name} (${units[d]})` : name)); // as they are shown
		this.cells = card.table && new Cells(card.table.columns.map((column, d) => ({ ...column, label: this.labels[d] }))); // of mixed kinds
	}

	// Rows with names are shown as a table, numbers of unknown decimals to a hundredth of
	// their standard deviation or finer. A range that the model does not state is that of rows we have.
	// Columns in units of their own are drawn in standard deviations, without the outermost.
	learn(rows) {
		const columns = rows[0].map((_, d) => rows.map((row) => row[d]));
		const average = (values) => values.reduce((a, b) => a + b) / values.length;
		const centers = columns.map(average);
		const spreads = columns.map((c, d) => Math.sqrt(average(c.map((v) => (v - centers[d]) ** 2))) || 1);
		if (this.columns && !this.isImage) this.table = this.cells ?? new Cells(this.columns.map((name, d) => ({ name, label: this.labels[d], resolution: spreads[d] / 100 })));
		this.place = (v) => v;
		this.limits = this.range;
		if (this.limits || this.table) return;
		if (!this.isImage && Math.max(...spreads) > 8 * Math.min(...spreads)) {
			this.place = (v, d) => (v - centers[d]) / spreads[d];
		}
		const values = rows.flatMap((row) => row.map(this.place)).sort((a, b) => a - b);
		const cut = this.isImage ? 0 : values.length >> 7;
		this.limits = [values[cut], values.at(-1 - cut)];
	}

	// A column's name and unit, or the position of a value that has no name.
	name(d) { return this.labels?.[d] ?? String(d); }

	accepts(row) { return this.cells ? this.cells.accepts(row) : row.every(Number.isFinite); }

	// What is sent is what is shown: pixels that were decoded have four decimals, and
	// cells those of their column.
	whole(row) {
		if (this.isImage) return row.map((v) => Number(v.toFixed(4)));
		return this.table?.whole(row) ?? row;
	}

	get aspect() { return this.isImage ? this.width / this.height : 1.5; }

	// A picture's own pixels times a whole number, or a plot of fixed size.
	tile(least) {
		if (!this.isImage) return [240, 160, 1];
		const times = Math.max(1, Math.ceil(least / this.width));
		return [this.width * times, this.height * times, times];
	}
}

export const rowsOf = (nested) => nested.map((row) => (Array.isArray(row) ? row.flat(Infinity) : [row]));

function color(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function rgb(name) {
	const hex = color(name).slice(1);
	return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

// Binary pictures are ink on paper; gray and color ones are as bright as their values.
function pixels(data, values, [paper, ink]) {
	const image = new ImageData(data.width, data.height);
	const [low, high] = data.limits;
	for (let i = 0; i < data.width * data.height; i++) {
		for (let c = 0; c < 3; c++) {
			const v = (values[i * data.channels + (data.channels === 3 ? c : 0)] - low) / (high - low || 1);
			const t = clamp(v, 0, 1);
			image.data[4 * i + c] = paper[c] + t * (ink[c] - paper[c]);
		}
		image.data[4 * i + 3] = 255;
	}
	return image;
}

function plot(context, data, values, [left, top, width, height], others) {
	const [low, high] = data.limits;
	const { canvas } = context;
	const weight = clamp((1.5 * canvas.width) / (canvas.clientWidth || 66), 1.5, 6); // on the screen 1.5
	const x = (d) => left + 8 + ((d + 0.5) / data.dim) * (width - 16);
	const y = (v, d) => top + 10 + (1 - (clamp(data.place(v, d), low, high) - low) / (high - low || 1)) * (height - 20);
	context.fillStyle = color("--paper");
	context.fillRect(left, top, width, height);
	for (const [series, name] of [[others, "--faint"], [values, "--blue"]]) {
		if (!series) continue;
		context.strokeStyle = context.fillStyle = color(name);
		context.lineWidth = weight;
		context.beginPath();
		series.forEach((v, d) => context.lineTo(x(d), y(v, d)));
		context.stroke();
		if (data.dim * weight > 60) continue;
		series.forEach((v, d) => {
			context.beginPath();
			context.arc(x(d), y(v, d), 2 * weight, 0, 7);
			context.fill();
		});
	}
}

// Draw rows as tiles, `columns` of them beside each other. A row with names is a table.
export function sheet(canvas, data, rows, { columns = 1, least = 64, behind } = {}) {
	if (data.table) return canvas.replaceChildren(...data.table.lines(rows[0]));
	const draw = () => {
		const [width, height, times] = data.tile(least);
		const lines = Math.ceil(rows.length / columns);
		canvas.width = columns * width;
		canvas.height = lines * height;
		const context = canvas.getContext("2d");
		context.imageSmoothingEnabled = false;
		const one = made("canvas", { width: data.width, height: data.height });
		const colors = data.binary && data.channels === 1 ? [rgb("--paper"), rgb("--ink")] : [[0, 0, 0], [255, 255, 255]];
		rows.forEach((row, i) => {
			const [left, top] = [(i % columns) * width, Math.floor(i / columns) * height];
			if (!data.isImage) return plot(context, data, row, [left, top, width, height], behind);
			one.getContext("2d").putImageData(pixels(data, row, colors), 0, 0);
			context.drawImage(one, left, top, data.width * times, data.height * times);
		});
	};
	drawn.set(canvas, draw);
	draw();
}

export function redraw() {
	for (const [canvas, draw] of drawn) canvas.isConnected ? draw() : drawn.delete(canvas);
}
