// The few ways in which the page touches its document.

export const $ = (id) => document.getElementById(id);

export function made(name, properties = {}, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(properties)) {
		if (key === "role" || key.startsWith("aria-")) element.setAttribute(key, value);
		else element[key] = value;
	}
	element.append(...children);
	return element;
}


// A line of a table, of a header and cells or of cells alone.
export const tr = (tag, cells, head) => made("tr", {}, ...(head ? [made("th", { scope: "row" }, head)] : []), ...cells.map((cell) => made(tag, {}, cell)));

export const picture = (label) => made("canvas", { className: "shown", role: "img", "aria-label": label });
export const count = (n) => n.toLocaleString("en");
export const subscript = (n) => String(n).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d]);
export const arrow = (key) => ({ ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] })[key];
export const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

// The row and column, not whole numbers, of a pointer in a place with so many of them.
export function within(place, event, rows, columns) {
	const box = place.getBoundingClientRect();
	return [(rows * (event.clientY - box.top)) / box.height, (columns * (event.clientX - box.left)) / box.width];
}

// Arrows step in a place; Enter and Space choose.
export function keys(place, step, choose) {
	place.onkeydown = (event) => {
		const by = arrow(event.key);
		if (!by && event.key !== "Enter" && event.key !== " ") return;
		event.preventDefault();
		by ? step(by) : choose();
	};
}

// Lay an element around one cell of a place with so many rows and columns.
export function frame(element, [row, column], rows, columns) {
	const percent = (n, of) => `${(100 * n) / of}%`;
	const [height, width] = [percent(1, rows), percent(1, columns)];
	Object.assign(element.style, { top: percent(row, rows), left: percent(column, columns), height, width });
}

// Make buttons one stop of the Tab key; arrows move between them, also from line to line.
export function oneStop(place, buttons) {
	const top = (button) => button.getBoundingClientRect().top;
	buttons.forEach((button, i) => (button.tabIndex = i ? -1 : 0));
	place.onkeydown = (event) => {
		const across = buttons.filter((button) => top(button) === top(buttons[0])).length;
		const [down, right] = arrow(event.key) ?? [];
		const next = buttons[buttons.indexOf(event.target) + right + down * across];
		if (!next) return;
		event.preventDefault();
		for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
		next.focus();
	};
}

export function save(name, blob) {
	const link = made("a", { href: URL.createObjectURL(blob), download: name });
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export const seed = (id) => Math.max(0, Math.round($(id).valueAsNumber) || 0);

export function onChange(ids, listener, event = "change") {
	for (const id of ids) $(id).addEventListener(event, listener);
}

// A button that counts the seed up.
export function renews(button, id, listener) {
	$(button).onclick = () => {
		$(id).value = seed(id) + 1;
		listener();
	};
}
