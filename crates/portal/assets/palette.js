// The palette: a dialog over the search page of the same name.
(() => {
  const dialog = document.getElementById("palette");
  if (!dialog) return;
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("[data-hits]");
  let asked = null, timer = 0, marked = 0;
  const links = () => [...list.querySelectorAll("a")];
  const mark = (at) => {
    const all = links();
    marked = Math.min(Math.max(0, at), Math.max(0, all.length - 1));
    const box = list.querySelector("ul");
    if (box) { box.id = "palette-hits"; box.setAttribute("role", "listbox"); box.setAttribute("aria-label", "What fits"); for (const li of box.children) li.setAttribute("role", "none"); }
    input.setAttribute("aria-expanded", box ? "true" : "false");
    all.forEach((a, i) => { a.id = `hit-${i}`; a.setAttribute("role", "option"); a.setAttribute("aria-selected", i === marked); a.tabIndex = -1; });
    if (all[marked]) { input.setAttribute("aria-activedescendant", `hit-${marked}`); all[marked].scrollIntoView({ block: "nearest" }); }
    else input.removeAttribute("aria-activedescendant");
  };
  const find = async () => {
    const q = input.value;
    if (q === asked) return;
    asked = q;
    try {
      const reply = await fetch(`/palette?part=1&q=${encodeURIComponent(q)}`, { headers: { accept: "text/html" }, redirect: "error" });
      if (!reply.ok) throw new Error(reply.status);
      const part = new DOMParser().parseFromString(await reply.text(), "text/html");
      if (input.value !== q) return;
      list.replaceChildren(...document.importNode(part.body, true).childNodes);
      mark(0);
    } catch { asked = null; list.textContent = "The platform does not answer."; }
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(find, 80); });
  input.addEventListener("focus", find);
  dialog.addEventListener("close", () => { input.value = ""; asked = null; list.replaceChildren(); });
  dialog.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown") { e.preventDefault(); mark(marked + 1); }
    else if (e.key === "ArrowUp") { e.preventDefault(); mark(marked - 1); }
    else if (e.key === "Enter" && links()[marked] && asked === input.value) { e.preventDefault(); links()[marked].click(); }
  });
})();
