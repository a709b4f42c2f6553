// Uploads to a file server: chosen or dropped files go in chunks to signed links, one after another.
"use strict";
(() => {
  const MOST = 512 << 20; // Browsers compute digests of whole files, in memory.
  const CHUNK = 4 << 20;
  const RETRIES = 5;
  const waiting = [];
  const live = document.getElementById("live");
  let busy, list;

  const area = () => document.querySelector("[data-upload]");
  const add = (parent, name, text = "") => {
    const element = document.createElement(name);
    element.textContent = text;
    parent.append(element);
    return element;
  };
  const refused = async (response) => {
    const body = await response.json().catch(() => null);
    const words = response.status === 401 ? "Your session has ended. Sign in again." : "HTTP " + response.status;
    const error = new Error(body?.error?.message ?? words);
    error.isFinal = response.status < 500;
    return error;
  };
  // Some failures of a connection pass.
  const retried = async (call) => {
    for (let failures = 0; ; failures++) {
      try {
        return await call();
      } catch (error) {
        if (error.isFinal || failures === RETRIES) throw error;
        await new Promise((done) => setTimeout(done, 500 << failures));
      }
    }
  };

  // One upload. The list is outside of the part of the page that updates.
  const row = (name) => {
    if (!list?.isConnected) {
      list = document.createElement("ul");
      list.className = "bars uploads";
      list.setAttribute("aria-live", "polite");
      live.before(list);
    }
    const item = add(list, "li");
    add(item, "span", name);
    const progress = add(item, "progress");
    progress.setAttribute("aria-label", name);
    const text = add(item, "span", "waiting");
    const say = (words) => text.textContent = words;
    const fail = (words) => {
      say(words);
      text.className = "bad";
      progress.value = 0;
    };
    const ask = (question) => new Promise((answer) => {
      say(question + " ");
      for (const word of ["Replace", "Keep"]) add(text, "button", word).onclick = () => answer(word === "Replace");
    });
    return { progress, say, ask, fail };
  };

  const begin = async (url, file, replace) => {
    const response = await fetch(url + "?replace=" + replace, { method: "POST", body: JSON.stringify(file) });
    if (!response.ok) throw await refused(response);
    return response.json();
  };

  const transfer = async (link, file, show) => {
    let offset = 0;
    while (offset < file.size) {
      offset = await retried(async () => {
        const headers = { "Content-Type": "application/octet-stream", "Upload-Offset": offset };
        const response = await fetch(link, { method: "PATCH", headers, body: file.slice(offset, offset + CHUNK) });
        // The service may have more already.
        const end = response.headers.get("Upload-Offset");
        if (response.ok || response.status === 409 && end > offset) return Number(end);
        throw await refused(response);
      });
      show(offset);
    }
    for (let check = ""; ;) {
      const response = await retried(() => fetch(link + check, { method: "POST" }));
      if (!response.ok) throw await refused(response);
      const answer = await response.json();
      if (answer.complete) return;
      check = "&check=" + encodeURIComponent(answer.check);
    }
  };

  const upload = async ({ file, url, path, shown: { progress, say, ask } }) => {
    say("checksum");
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const described = { path, length: file.size, sha256 };
    let begun = await begin(url, described, false);
    progress.value = 0;
    if (begun.exists) {
      if (!await ask(begun.exists)) return say("kept as it was");
      begun = await begin(url, described, true);
    }
    const show = (bytes) => {
      progress.value = bytes / file.size;
      say(Math.floor(100 * progress.value) + " %");
    };
    await transfer(begun.value[0].uploadUrl, file, show);
    progress.value = 1;
    say("uploaded");
  };

  const work = async () => {
    if (busy) return;
    busy = true;
    for (let next; (next = waiting.shift());) {
      await upload(next).catch((error) => next.shown.fail(error.message));
    }
    busy = false;
    live.dispatchEvent(new Event("refresh"));
  };

  const take = (files, directories = []) => {
    const { upload: url, directory, command } = area().dataset;
    const problem = (name, words) => row(name).fail(words + " Run: " + command);
    for (const name of directories) problem(name, "This is a directory.");
    for (const file of files) {
      if (directories.includes(file.name)) continue;
      if (file.size > MOST) problem(file.name, "Larger than 512 MiB.");
      else if (!crypto.subtle) problem(file.name, "Uploads need https or localhost.");
      else waiting.push({ file, url, path: (directory && directory + "/") + file.name, shown: row(file.name) });
    }
    work();
  };

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-upload] input")) return;
    take([...event.target.files]);
    event.target.value = "";
  });
  const drag = (name, isOver) => document.addEventListener(name, (event) => {
    if (!area() || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    area().classList.toggle("over", isOver);
    if (name !== "drop") return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    take([...event.dataTransfer.files], entries.filter((it) => it?.isDirectory).map((it) => it.name));
  });
  drag("dragover", true);
  drag("dragleave", false);
  drag("drop", false);
  document.addEventListener("htmx:before:request", (event) => busy && event.preventDefault());
  addEventListener("beforeunload", (event) => busy && event.preventDefault());
})();
