// The log of a job: reads the growing file by its link, in parts, and shows the last lines.
"use strict";
(() => {
  const root = document.getElementById("log");
  if (!root) return;
  // What is read first of a long file, what one request reads, what is kept, and how many lines are shown at a time.
  const TAIL = 256 << 10, PART = 2 << 20, KEPT = 32 << 20, SHOWN = 5000;
  const one = (name) => root.querySelector(`[data-${name}]`);
  const [select, search, follow, whole, download, status] = ["files", "search", "follow", "whole", "download", "status"].map(one);
  const pre = root.querySelector("pre");
  let files = [], attempt = 0, follows = true, ended = false, running = true, file, offset, first, lines, kept, rest, decoder, pause = 1000, timer, run = 0;
  let note = "", key, asked = 0, end = [], stale = false;

  const pieces = (line) => {
    const found = [];
    let classes = [];
    // Colours (SGR) are classes, other sequences are dropped.
    for (const part of line.split(/(\x1b(?:\[[0-?]*[ -\/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_]))/)) {
      const sgr = /^\x1b\[([\d;]*)m$/.exec(part);
      if (sgr) {
        for (const code of sgr[1].split(";").map(Number)) {
          if (!code) classes = [];
          else if (code === 39) classes = classes.filter((it) => it < 30);
          else if (code === 22) classes = classes.filter((it) => it !== 1);
          else if (code === 1) classes.push(1);
          else if (code > 29 && code < 38 || code > 89 && code < 98) classes = [...classes.filter((it) => it < 30), code];
        }
      } else if (part && part[0] !== "\x1b") found.push([part, classes.map((code) => "ansi" + code).join(" ")]);
    }
    return found;
  };
  // A progress bar writes its line again and again: its last state counts.
  const plain = (line) => line.slice(line.replace(/\r+$/, "").lastIndexOf("\r") + 1);
  const element = (line, wanted) => {
    const row = document.createElement("div");
    for (const [text, classes] of pieces(line)) {
      const place = classes ? row.appendChild(document.createElement("span")) : row;
      if (classes) place.className = classes;
      const low = text.toLowerCase();
      let at = 0;
      for (let hit; wanted && low.length === text.length && (hit = low.indexOf(wanted, at)) >= 0; at = hit + wanted.length) {
        place.append(text.slice(at, hit));
        place.appendChild(document.createElement("mark")).textContent = text.slice(hit, hit + wanted.length);
      }
      place.append(text.slice(at));
    }
    row.append("\n");
    return row;
  };
  const wantedText = () => search.value.toLowerCase();
  const matches = (line, wanted) => !wanted || pieces(line).map(([text]) => text).join("").toLowerCase().includes(wanted);
  let hits = 0, last;
  const toEnd = () => { if (follow.checked) pre.scrollTop = pre.scrollHeight; };
  const count = () => {
    const found = search.value ? `${hits.toLocaleString()} of ${lines.length.toLocaleString()} lines. ` : "";
    const cut = hits > SHOWN ? `The last ${SHOWN.toLocaleString()} are shown. ` : "";
    const text = found + cut + note;
    if (status.textContent !== text) status.textContent = text;
  };
  // `added` lines are new; all are shown again if it is missing.
  const show = (added) => {
    const wanted = wantedText();
    let found = (added || lines).filter((line) => matches(line, wanted));
    if (!added) {
      pre.textContent = "";
      hits = 0;
    }
    last?.remove();
    hits += found.length;
    pre.append(...found.slice(-SHOWN).map((line) => element(line, wanted)));
    while (pre.childElementCount > SHOWN) pre.firstChild.remove();
    const open = plain(rest);
    last = open && matches(open, wanted) ? pre.appendChild(element(open, wanted)) : undefined;
    count();
    toEnd();
  };

  const reset = (from) => {
    run++;
    offset = from;
    first = true;
    lines = [];
    kept = 0;
    rest = "";
    end = [];
    last = undefined;
    decoder = new TextDecoder();
    pause = 1000;
    whole.hidden = true;
    show();
    clearTimeout(timer);
    if (file) poll();
  };
  const take = (bytes) => {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop();
    if (rest.length > 1 << 16) rest = plain(rest).slice(-(1 << 16));
    const added = parts.map(plain);
    for (const line of added) kept += line.length + 1;
    lines.push(...added);
    let drop = 0;
    while (kept > KEPT) kept -= lines[drop++].length + 1;
    if (drop) {
      lines.splice(0, drop);
      note = "The beginning is not kept; download the file to see it.";
    }
    show(drop && search.value ? undefined : added);
  };
  // Reads the next part, and answers its size.
  const read = async () => {
    const mine = run;
    // The last bytes are read again: others are there if a new attempt writes the file. It is no error then that nothing is
    // new, but one that the file is shorter (416).
    const seen = end.length;
    const range = offset < 0 ? `bytes=${offset}` : `bytes=${offset - seen}-${offset + PART - 1}`;
    const answer = await fetch(file.url, { headers: file.size || offset ? { range } : {}, cache: "no-store" });
    if (answer.status === 416) {
      if (mine === run) again();
      return 0;
    }
    const [, start] = /bytes (\d+)-/.exec(answer.headers.get("content-range")) || [];
    if (!answer.ok) throw answer.status;
    const all = new Uint8Array(await answer.arrayBuffer());
    if (mine !== run) return 0;
    if (end.some((byte, at) => byte !== all[at])) {
      again();
      return 0;
    }
    let bytes = all.subarray(seen);
    const size = bytes.length;
    end = [...all.subarray(-64)];
    if (first && +start > 0) {
      bytes = bytes.subarray(bytes.indexOf(10) + 1);
      note = "The end of the file is shown.";
      whole.hidden = false;
    }
    first = false;
    offset = (+start || 0) + seen + size;
    if (size) take(bytes);
    return size;
  };
  // Another file is where this one was.
  const again = () => {
    run++;
    stale = true;
    list();
  };
  const poll = async () => {
    const mine = run;
    if (document.hidden) return;
    let wait = 1000;
    try {
      const more = await read();
      if (mine !== run) return;
      if (more) wait = pause = 1000;
      else wait = pause = Math.min(pause * 1.5, 5000);
      if (more && !running || more === PART) wait = 0;
      if (!more && (!running || file.attempt < attempt)) {
        if (rest) last?.scrollIntoView({ block: "nearest" });
        return;
      }
    } catch (problem) {
      if (mine !== run) return;
      // The link has ended, or the file was moved.
      wait = pause = Math.min(pause * 2, 5000);
      if (problem === 403 || problem === 404) return list();
    }
    timer = setTimeout(poll, wait);
  };

  const label = (it) => it.attempt < attempt ? `attempt ${it.attempt}: ${it.name}` : it.name;
  const name = (it) => it.attempt + "/" + it.name;
  const pick = (next) => {
    const isSame = !stale && file && next && name(file) === name(next);
    stale = false;
    file = next;
    download.hidden = !file;
    if (!file) return;
    download.href = file.url;
    download.download = file.name;
    if (isSame) {
      clearTimeout(timer);
      return poll();
    }
    note = "";
    follow.checked = true;
    reset(file.size > TAIL ? -TAIL : 0);
  };
  // Which files there are, with new links. Not more often than every second.
  const list = async () => {
    const wait = asked + 1000 - Date.now();
    clearTimeout(timer);
    if (document.hidden || wait > 0) {
      timer = setTimeout(list, Math.max(wait, 1000));
      return;
    }
    asked = Date.now();
    let failed = "The service does not answer.";
    try {
      const answer = await fetch(root.dataset.log, { headers: { accept: "application/json" } });
      const body = await answer.json();
      failed = body.message;
      if (answer.ok) {
        ({ files, attempt, ended, running } = body);
        select.replaceChildren(...files.map((it) => new Option(label(it), name(it))));
        let next = files.find((it) => file && it.name === file.name && it.attempt === (follows ? attempt : file.attempt));
        // A new attempt may not have written this file yet.
        if (!file || !next && !(running && follows)) next = files[0];
        if (next) pick(next);
        if (file) {
          select.value = name(file);
          if (running && follows && file.attempt < attempt) timer = setTimeout(list, 2000);
          return;
        }
        failed = ended ? "The job wrote no output." : "No output yet.";
      }
    } catch { /* tried again */ }
    status.textContent = failed;
    if (!ended) timer = setTimeout(list, 3000);
  };

  select.addEventListener("change", () => {
    pick(files.find((it) => name(it) === select.value));
    follows = file.attempt === attempt;
  });
  search.addEventListener("input", () => { if (lines) show(); });
  follow.addEventListener("change", toEnd);
  pre.addEventListener("scroll", () => follow.checked = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 40);
  whole.addEventListener("click", () => { note = ""; reset(0); });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) file?.attempt === attempt ? poll() : list();
  });
  // The page tells when an attempt begins and when the job ends.
  const state = () => {
    const now = document.getElementById("log-state")?.dataset.key;
    if (now === key) return;
    key = now;
    list();
  };
  document.addEventListener("portal:updated", state);
  state();
})();
