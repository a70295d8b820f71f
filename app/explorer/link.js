// The state of the page in its address: reload, back and a shared link keep it.

const FIELDS = [...document.querySelectorAll("main :is(select, input:not([type=file]))")];
const REST = 300;
const MOST_BYTES = 12000; // a longer x is left out

const read = (field) => (field.type === "checkbox" ? String(field.checked) : field.value);

// A field that takes no value of this model, from a link to another one, is left alone.
function write(field, value) {
	const before = read(field);
	if (field.type === "checkbox") field.checked = value === "true";
	else field.value = value;
	if (field.type !== "checkbox" && field.value !== value) field.value = before;
	if (read(field) !== before) for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
}

const through = async (content, transform) =>
	new Uint8Array(await new Response(new Blob([content]).stream().pipeThrough(transform)).arrayBuffer());

async function packed(x) {
	const bytes = await through(x.join(), new CompressionStream("deflate-raw"));
	if (bytes.length > MOST_BYTES) return "";
	return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function unpacked(text) {
	const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
	const written = await through(bytes, new DecompressionStream("deflate-raw"));
	return new TextDecoder().decode(written).split(",").map((v) => (v ? Number(v) : null)); // a missing cell is empty
}

const isRow = (row, n) => row?.length === n && row.every(Number.isFinite);

// Follow the state from now on; begin with that of the address.
export async function link(state) {
	const defaults = FIELDS.map(read);
	let isNew = false, timer;

	const address = async () => {
		const parts = new URLSearchParams();
		FIELDS.forEach((field, i) => read(field) !== defaults[i] && parts.set(field.id, read(field)));
		const example = state.reference.indexOf(state.x);
		if (example > 0) parts.set("example", example);
		if (example < 0) parts.set("x", await packed(state.x));
		if (!state.isFollowing) parts.set("z", state.z.join(","));
		return `${location.pathname}${location.search}#${parts}`;
	};
	const note = async () => {
		timer = undefined;
		const to = await address();
		if (to === location.pathname + location.search + (location.hash || "#")) return;
		history[isNew ? "pushState" : "replaceState"](null, "", to);
		isNew = false;
	};
	const later = () => (timer ??= setTimeout(note, REST));

	const restore = async () => {
		const parts = new URLSearchParams(location.hash.slice(1));
		FIELDS.forEach((field, i) => write(field, parts.get(field.id) ?? defaults[i]));
		const drawn = parts.get("x") && (await unpacked(parts.get("x")).catch(() => null));
		const row = drawn?.length === state.data.dim && state.data.accepts(drawn) ? drawn : state.reference[parts.get("example") ?? 0] ?? state.reference[0];
		const z = parts.get("z")?.split(",").map(Number);
		if (isRow(z, state.prior.mean.length)) state.setZ(z);
		else state.isFollowing = true;
		state.setX(row, true);
	};
	await restore();
	state.on("past", () => (isNew = true));
	for (const name of ["x", "z"]) state.on(name, later);
	for (const kind of ["change", "input"]) document.querySelector("main").addEventListener(kind, later);
	addEventListener("popstate", restore);
}
