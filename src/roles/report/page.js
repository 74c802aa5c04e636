for (const chart of document.querySelectorAll("figure.chart")) {
  const plot = chart.querySelector(".plot"), legend = chart.querySelector(".legend");
  const strips = [...chart.querySelectorAll(".strips rect")];
  const rows = [...chart.querySelectorAll("details tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
  if (strips.length === 0 || rows.length !== strips.length) continue;

  const readout = document.createElement("output"), heading = document.createElement("strong"), list = legend.cloneNode(true);
  const values = [...list.children].map((entry) => entry.appendChild(document.createElement("b")));
  readout.className = "readout";
  readout.hidden = true;
  readout.append(heading, list);
  chart.append(readout);

  let at = -1;
  const show = (next) => {
    strips[at]?.classList.remove("at");
    at = next;
    readout.hidden = at < 0;
    if (at < 0) return;
    strips[at].classList.add("at");
    heading.textContent = rows[at][0];
    values.forEach((value, number) => { value.textContent = rows[at][number + 1]; });
    const box = chart.getBoundingClientRect(), strip = strips[at].getBoundingClientRect();
    const right = strip.right - box.left + 8, left = strip.left - box.left - 8 - readout.offsetWidth;
    const fits = right + readout.offsetWidth <= box.width - 8;
    readout.style.left = `${fits ? right : Math.max(left, 8)}px`;
    readout.style.top = `${strip.top - box.top + 8}px`;
  };
  strips.forEach((strip, number) => {
    strip.querySelector("title").remove();
    strip.addEventListener("pointerenter", () => show(number));
  });
  plot.addEventListener("pointerleave", () => show(-1));
  plot.addEventListener("blur", () => show(-1));
  plot.setAttribute("tabindex", "0");
  plot.addEventListener("keydown", (event) => {
    const last = strips.length - 1;
    const next = { ArrowLeft: at < 0 ? last : at - 1, ArrowRight: at + 1, Home: 0, End: last, Escape: -1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    show(Math.min(Math.max(next, event.key === "Escape" ? -1 : 0), last));
  });
}
