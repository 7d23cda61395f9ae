// Values under the pointer. The curves are whole without this; every value is also in the hover text of its point.
for (const svg of document.querySelectorAll("svg.chart[data-plot]")) {
  const [left, top, right, bottom] = svg.dataset.plot.split(" ").map(Number);
  const [x0, x1] = svg.dataset.x.split(" ").map(Number), [y0, y1] = svg.dataset.y.split(" ").map(Number);
  const valueX = x => x0 + (x - left) / (right - left) * (x1 - x0);
  const valueY = y => { const s = (bottom - y) / (bottom - top); return svg.dataset.log ? y0 * Math.pow(y1 / y0, s) : y0 + s * (y1 - y0); };
  const series = [...svg.querySelectorAll(".series")].map(g => ({ name: g.dataset.name,
    points: g.querySelector("polyline").getAttribute("points").split(" ").map(p => p.split(",").map(Number)) }));
  const figure = svg.closest("figure"), tip = document.createElement("div"), line = document.createElementNS(svg.namespaceURI, "line");
  tip.className = "tip"; tip.hidden = true; line.setAttribute("class", "cross"); line.setAttribute("y1", top); line.setAttribute("y2", bottom);
  const number = v => Math.abs(v) >= 1e4 || (Math.abs(v) < 1e-3 && v !== 0) ? v.toPrecision(4) : String(+v.toPrecision(4));
  svg.addEventListener("pointermove", event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    if (at.x < left || at.x > right) return leave();
    const near = series.map(s => ({ name: s.name, p: s.points.reduce((a, b) => Math.abs(b[0] - at.x) < Math.abs(a[0] - at.x) ? b : a) }));
    const x = near[near.length - 1].p[0];
    line.setAttribute("x1", x); line.setAttribute("x2", x); svg.append(line);
    tip.textContent = "step " + Math.round(valueX(x)).toLocaleString("en");
    for (const n of near) { const row = document.createElement("div"); row.textContent = n.name + ": " + number(valueY(n.p[1])); tip.append(row); }
    const box = figure.getBoundingClientRect(), x1px = event.clientX - box.left;
    tip.hidden = false; figure.append(tip);
    tip.style.left = (x1px + 16 + tip.offsetWidth > box.width ? x1px - tip.offsetWidth - 12 : x1px + 14) + "px";
    tip.style.top = Math.max(30, event.clientY - box.top - 20) + "px";
  });
  const leave = () => { tip.hidden = true; line.remove(); };
  svg.addEventListener("pointerleave", leave);
}
