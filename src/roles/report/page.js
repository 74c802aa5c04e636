for (const chart of document.querySelectorAll("figure.chart")) {
  const plot = chart.querySelector(".plot"), output = chart.querySelector("output");
  const strips = [...chart.querySelectorAll(".strips rect")], values = [...chart.querySelectorAll(".legend b")];
  const rows = [...chart.querySelectorAll("details tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
  if (strips.length === 0 || rows.length !== strips.length) continue;
  let at = -1;
  const show = (next) => {
    strips[at]?.classList.remove("at");
    at = next;
    strips[at]?.classList.add("at");
    const row = rows[at] ?? [];
    output.textContent = row[0] ?? "";
    values.forEach((value, number) => { value.textContent = row[number + 1] ?? ""; });
  };
  chart.classList.add("pointed");
  strips.forEach((strip, number) => {
    strip.querySelector("title").remove();
    strip.addEventListener("pointerenter", () => show(number));
  });
  plot.addEventListener("pointerleave", () => show(-1));
  plot.setAttribute("tabindex", "0");
  plot.addEventListener("blur", () => show(-1));
  plot.addEventListener("keydown", (event) => {
    const next = { ArrowLeft: at < 0 ? strips.length - 1 : at - 1, ArrowRight: at + 1, Home: 0, End: strips.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    show(Math.min(Math.max(next, 0), strips.length - 1));
  });
}
