// A picture from a file, dropped or pasted, becomes x.
import { report } from "./api.js";
import { $ } from "./dom.js";

// Scaled to the model's size and cut to its shape; what is transparent becomes white. Gray
// is that of ITU-R BT.601, as in the service.
async function rowFrom(file, { height, width, channels, limits: [low, high] }) {
	const bitmap = await createImageBitmap(file);
	const context = new OffscreenCanvas(width, height).getContext("2d");
	context.fillStyle = "white";
	context.fillRect(0, 0, width, height);
	context.imageSmoothingQuality = "high";
	const scale = Math.max(width / bitmap.width, height / bitmap.height);
	const [across, down] = [bitmap.width * scale, bitmap.height * scale];
	context.drawImage(bitmap, (width - across) / 2, (height - down) / 2, across, down);
	const { data } = context.getImageData(0, 0, width, height);
	const row = [];
	for (let i = 0; i < data.length; i += 4) {
		const [r, g, b] = data.slice(i, i + 3);
		row.push(...(channels === 3 ? [r, g, b] : [0.299 * r + 0.587 * g + 0.114 * b]));
	}
	return row.map((v) => Number((low + ((high - low) * v) / 255).toFixed(4)));
}

export function opens(state) {
	const { data } = state;
	const use = async (file) => {
		if (!file) return;
		const isWrong = !data.isImage && { title: "Not a row of numbers", detail: "x of this model is a table’s row, so a picture cannot become one" };
		const failure = isWrong || (await rowFrom(file, data).then((row) => state.pick(row), () => (
			{ title: "Not a picture", detail: `the browser cannot read ${file.name} as one` }
		)));
		report($("one").querySelector(".error"), failure);
	};
	$("open").hidden = !data.isImage;
	$("open").onclick = () => $("file").click();
	$("file").onchange = ({ target }) => {
		use(target.files[0]);
		target.value = ""; // so that the same file can be opened again
	};
	document.ondragover = (event) => event.preventDefault();
	document.ondrop = (event) => {
		event.preventDefault();
		use(event.dataTransfer.files[0]);
	};
	document.onpaste = (event) => use(event.clipboardData.files[0]);
}
