// Times that count, commands to copy, updates only while the page is visible.
"use strict";
(() => {
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  const span = (seconds) => {
    if (seconds < 1) return "0s";
    const at = units.findIndex(([, size]) => seconds >= size);
    const [name, size] = units[at];
    const count = Math.floor(seconds / size);
    if (at === units.length - 1 || seconds >= 600 && at === 2) return count + name;
    const [next, part] = units[at + 1];
    const rest = Math.floor((seconds - count * size) / part);
    return count + name + (rest ? " " + rest + next : "");
  };
  const tick = () => {
    for (const element of document.querySelectorAll("time[datetime]")) {
      const seconds = (Date.now() - Date.parse(element.dateTime)) / 1000;
      const ago = seconds < 1 ? "just now" : span(seconds) + " ago";
      const text = "since" in element.dataset ? span(Math.max(seconds, 0)) : seconds < -1 ? "in " + span(-seconds) : ago;
      if (element.textContent !== text) element.textContent = text;
    }
  };
  tick();
  setInterval(tick, 1000);

  const notice = document.getElementById("notice");
  let hide;
  const say = (text) => {
    notice.textContent = text;
    clearTimeout(hide);
    hide = setTimeout(() => notice.textContent = "", 4000);
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      say("Copied.");
    } catch {
      say("The browser did not allow to copy.");
    }
  });

  // What the viewer has opened or typed stays as it is while the page updates. What has ended does not change any more.
  const live = document.getElementById("live");
  document.addEventListener("htmx:before:request", (event) => {
    const isBusy = live.querySelector("details.action[open], form :focus, [data-final]");
    if (document.hidden || isBusy) event.preventDefault();
  });
  document.addEventListener("htmx:after:swap", () => {
    tick();
    document.dispatchEvent(new Event("portal:updated"));
  });
  document.addEventListener("htmx:error", () => say("The service does not answer. Trying again."));
  document.addEventListener("htmx:response:error", (event) => {
    if (event.detail?.ctx?.response?.status === 401) location.reload();
  });
})();
