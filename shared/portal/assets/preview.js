// The preview of a file: text, an image, or a table. Everything in it is text of the user.
"use strict";
(() => {
  const root = document.querySelector("[data-preview]");
  if (!root) return;
  // Of a text the first 64 KiB, of a table the first rows, images that a browser can hold.
  const TEXT = 64 << 10, ROWS = 200, COLUMNS = 50, IMAGE = 16 << 20;
  const { preview: kind, url, name } = root.dataset;
  const size = +root.dataset.size;
  const status = root.querySelector("[role=status]");
  const types = { jpg: "jpeg" };

  // Rows of cells; quotes as in RFC 4180.
  const table = (text, separator) => {
    const rows = [[]];
    let cell = "", quoted = false;
    for (let at = 0; at < text.length && rows.length <= ROWS + 2; at++) {
      const letter = text[at];
      if (quoted && letter === '"' && text[at + 1] === '"') cell += text[++at];
      else if (letter === '"' && (quoted || !cell)) quoted = !quoted;
      else if (!quoted && (letter === separator || letter === "\n")) {
        rows.at(-1).push(cell.replace(/\r$/, ""));
        cell = "";
        if (letter === "\n") rows.push([]);
      } else cell += letter;
    }
    if (cell) rows.at(-1).push(cell);
    return rows.filter((row) => row.length);
  };
  const showTable = (text, isCut) => {
    const rows = table(text, kind === "csv" ? "," : "\t");
    if (isCut) rows.pop();
    const frame = document.createElement("div");
    frame.className = "table";
    frame.tabIndex = 0;
    const body = frame.appendChild(document.createElement("table"));
    rows.slice(0, ROWS + 1).forEach((row, at) => {
      const line = body.insertRow();
      for (const cell of row.slice(0, COLUMNS)) {
        const element = line.appendChild(document.createElement(at ? "td" : "th"));
        element.textContent = cell;
        if (cell && !isNaN(cell)) element.className = "num";
      }
    });
    root.append(frame);
    return isCut || rows.length > ROWS + 1 ? `The first ${Math.min(rows.length - 1, ROWS)} rows.` : "";
  };
  const showText = (text, isCut) => {
    const pre = root.appendChild(document.createElement("pre"));
    pre.tabIndex = 0;
    pre.textContent = text;
    return isCut ? "The first 64 KiB." : "";
  };
  const showImage = async (blob) => {
    const image = document.createElement("img");
    image.alt = name;
    image.src = URL.createObjectURL(blob);
    await image.decode();
    root.append(image);
    return `${image.naturalWidth} by ${image.naturalHeight} pixels.`;
  };

  const read = async () => {
    if (!size) return "The file is empty.";
    const isImage = kind === "image";
    if (isImage && size > IMAGE) return "The image is larger than 16 MiB; download it.";
    const most = isImage ? IMAGE : kind === "text" ? TEXT : 8 * TEXT;
    const answer = await fetch(url, { headers: { range: `bytes=0-${most - 1}` } });
    if (answer.status === 403) return "The link has ended; reload the page.";
    if (!answer.ok) return "The file cannot be read.";
    const bytes = await answer.arrayBuffer();
    if (isImage) {
      const type = name.split(".").pop().toLowerCase();
      return showImage(new Blob([bytes], { type: "image/" + (types[type] || type) }));
    }
    const text = new TextDecoder().decode(bytes, { stream: true });
    if (text.slice(0, 4096).includes("\0")) return "The file is not text; download it.";
    return (kind === "text" ? showText : showTable)(text, bytes.byteLength < size);
  };
  read().then((text) => status.textContent = text, () => status.textContent = "The file cannot be shown; download it.");
})();
