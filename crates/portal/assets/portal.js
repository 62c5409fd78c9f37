// The only script of the portal. Every page works without it; with it a page stays as true as the
// platform is, times are in the reader's zone, and everything can be reached by keys.
"use strict";
(() => {
  const main = () => document.getElementById("main");
  const typing = (el) => el instanceof HTMLElement && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName));

  // Times.
  const units = [[5400, 60, "min"], [172800, 3600, "h"], [Infinity, 86400, "d"]];
  const spoken = (s) => {
    if (s < 90) return `${Math.floor(s)} s`;
    const [, unit, word] = units.find(([below]) => s < below);
    return `${Math.round(s / unit)} ${word}`;
  };
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const times = (root) => {
    for (const el of root.querySelectorAll("text[data-time]")) {
      const at = new Date(el.dataset.time);
      if (!isNaN(at) && el.textContent !== minute.format(at)) el.textContent = minute.format(at);
    }
    for (const el of root.querySelectorAll("time[datetime]")) {
      const at = new Date(el.dateTime);
      if (isNaN(at)) continue;
      const title = `${exact.format(at)} · ${el.dateTime}`;
      if (el.title !== title) el.title = title;
      if (el.dataset.clock === "short" && el.textContent !== clock.format(at)) el.textContent = clock.format(at);
      if (el.hasAttribute("data-clock")) continue;
      const s = (Date.now() - at) / 1000;
      const text = Math.abs(s) < 5 ? (s < 0 ? "now" : "just now") : s < 0 ? `in ${spoken(-s)}` : `${spoken(s)} ago`;
      if (el.textContent !== text) el.textContent = text;
    }
  };

  // Morphing: the page becomes the new one, and what the reader holds stays: focus, selection, scroll,
  // what is typed, what is folded open.
  const keyOf = (node) => node.nodeType === 1 && (node.id || node.getAttribute("data-key")) || "";
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
  const attributes = (from, to) => {
    for (const { name, value } of [...to.attributes]) if (from.getAttribute(name) !== value && !(name === "open" && from.nodeName === "DETAILS")) from.setAttribute(name, value);
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && !(name === "open") && name !== "data-held") from.removeAttribute(name);
  };
  const morph = (from, to) => {
    if (from.nodeType !== 1) { if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue; return; }
    if (from.hasAttribute("data-keep")) return;
    if (from.nodeName === "TIME" && from.getAttribute("datetime") === to.getAttribute("datetime")) return;
    attributes(from, to);
    if (from.nodeName === "INPUT" && from.type === "hidden") { from.value = to.value; return; }
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(from.nodeName)) return;
    // What is shown once stays until the reader leaves.
    const stays = (node) => node && node.nodeType === 1 && node.hasAttribute("data-stay");
    let at = from.firstChild;
    for (let want = to.firstChild; want;) {
      const next = want.nextSibling;
      while (stays(at) && !stays(want)) at = at.nextSibling;
      if (at && alike(at, want)) { morph(at, want); at = at.nextSibling; }
      else {
        const key = keyOf(want);
        let found = null;
        if (key) for (let n = at; n; n = n.nextSibling) if (alike(n, want)) { found = n; break; }
        if (found) { from.insertBefore(found, at); morph(found, want); }
        else from.insertBefore(want, at);
      }
      want = next;
    }
    while (at) { const gone = at; at = at.nextSibling; if (!stays(gone)) gone.remove(); }
  };

  // An element that is moved loses focus and selection, and boxes above the fold may grow.
  const holding = (change) => {
    const held = document.activeElement;
    const range = held && typeof held.selectionStart === "number" ? [held.selectionStart, held.selectionEnd, held.selectionDirection] : null;
    change();
    if (!held || held === document.activeElement || !held.isConnected || held === document.body) return;
    held.focus({ preventScroll: true });
    if (range) held.setSelectionRange(...range);
  };

  // Live: told that something changed, the page fetches itself.
  const pulse = (text) => { const el = document.querySelector("[data-pulse]"); if (el) { el.hidden = !text; el.textContent = text; } };
  let fetching = false, again = false, wait = 0;
  const refresh = async () => {
    if (fetching || document.hidden) { again = true; return; }
    fetching = true; again = false;
    const began = performance.now();
    try {
      const reply = await fetch(location.href, { headers: { "orlop-live": "1", accept: "text/html" }, redirect: "error" });
      if (reply.status === 401) { pulse("signed out: reload to sign in again"); stop(); return; }
      if (!reply.ok) throw new Error(reply.status);
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      const next = page.getElementById("main");
      if (next) { holding(() => morph(main(), document.importNode(next, true))); document.title = page.title; wire(main()); }
      pulse("");
    } catch { pulse("not up to date: the platform does not answer"); wait = 5000; }
    const took = performance.now() - began;
    fetching = false;
    // A page that takes long to make is made seldom.
    setTimeout(() => { if (again) refresh(); }, Math.max(wait, 300, took * 4));
    wait = 0;
  };
  let source = null;
  const stop = () => { if (source) source.close(); source = null; };
  const listen = () => {
    const subjects = document.body.dataset.live;
    if (!subjects || source) return;
    source = new EventSource(`/live?subjects=${encodeURIComponent(subjects)}`);
    source.onopen = () => { pulse(""); refresh(); };
    source.onmessage = () => refresh();
    source.onerror = () => pulse("not live: connecting again");
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) refresh(); });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (e) => { if (e.persisted) listen(); });

  // Logs: lines come by a stream of their own.
  const logs = (root) => {
    for (const el of root.querySelectorAll("pre[data-tail]")) {
      if (el.tail) continue;
      const bottom = () => el.scrollHeight - el.scrollTop - el.clientHeight < 40;
      el.scrollTop = el.scrollHeight;
      el.tail = new EventSource(el.dataset.tail);
      el.tail.addEventListener("line", (e) => {
        const stay = bottom();
        const line = new DOMParser().parseFromString(e.data, "text/html").body.firstElementChild;
        if (!line || (line.id && document.getElementById(line.id))) return;
        el.append(document.importNode(line, true));
        while (el.childElementCount > 5000) el.firstElementChild.remove();
        times(el.lastElementChild);
        if (stay) el.scrollTop = el.scrollHeight;
      });
      el.tail.addEventListener("end", () => el.tail.close());
    }
  };

  // Keys.
  const open = (id) => { const d = document.getElementById(id); if (d && !d.open) d.showModal(); return d; };
  const palette = () => { const d = open("palette"); if (d) { const i = d.querySelector("input"); if (i) i.select(); } else location.href = "/palette"; };
  const rows = () => [...main().querySelectorAll(".list tbody tr")].filter((r) => r.querySelector("a[href]"));
  const step = (by) => {
    const all = rows(); if (!all.length) return;
    const here = all.findIndex((r) => r.contains(document.activeElement));
    const next = all[Math.min(all.length - 1, Math.max(0, here < 0 ? (by > 0 ? 0 : all.length - 1) : here + by))];
    next.querySelector("a[href]").focus(); next.scrollIntoView({ block: "nearest" });
  };
  let prefix = 0;
  addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey && e.key.toLowerCase() === "k") { e.preventDefault(); palette(); return; }
    if (e.key === "Escape" && typing(document.activeElement) && !document.querySelector("dialog[open]")) { document.activeElement.blur(); return; }
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target) || document.querySelector("dialog[open]")) return;
    const now = Date.now();
    if (now - prefix < 1200) {
      prefix = 0;
      const link = document.querySelector(`a[data-go="${CSS.escape(e.key)}"]`);
      if (link) { e.preventDefault(); link.click(); return; }
    }
    if (e.key === "g") { prefix = now; return; }
    if (e.key === "/") { e.preventDefault(); palette(); }
    else if (e.key === "?") { e.preventDefault(); open("keys"); }
    else if (e.key === "j") step(1);
    else if (e.key === "k") step(-1);
  });
  document.addEventListener("click", (e) => {
    const el = e.target instanceof Element ? e.target : null;
    if (!el) return;
    const opener = el.closest("[data-open]");
    if (opener) { e.preventDefault(); open(opener.dataset.open); return; }
    if (el.closest("[data-palette]") && !e.ctrlKey && !e.metaKey && document.getElementById("palette")) { e.preventDefault(); palette(); return; }
    const copy = el.closest("[data-copy]");
    if (copy && navigator.clipboard) { navigator.clipboard.writeText(copy.dataset.copy); const was = copy.textContent; copy.textContent = "Copied"; setTimeout(() => { copy.textContent = was; }, 1500); }
    if (el.nodeName === "DIALOG") el.close();
  });
  document.addEventListener("change", (e) => { if (e.target instanceof HTMLElement && e.target.matches("[data-submit]")) e.target.form.requestSubmit(); });

  const wire = (root) => { times(root); logs(root); };
  const narrow = matchMedia("(max-width: 760px)");
  const menu = document.querySelector("details.menu");
  const fold = () => { if (menu) menu.open = !narrow.matches; };
  narrow.addEventListener("change", fold); fold();
  if (document.body.dataset.at) history.replaceState(null, "", document.body.dataset.at);
  wire(document); listen();
  setInterval(() => times(document), 10000);
  // What no event tells of is asked for on a beat.
  const every = Number(document.body.dataset.every);
  if (every > 0) setInterval(refresh, every * 1000);
})();
