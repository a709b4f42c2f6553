// Draws every element with data-chart by uPlot: lines or points of several series in the colours of the theme.
"use strict";
(() => {
  const colours = ["--works", "--warns", "--waits", "--good", "--bad", "--calm"];
  const dashes = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [14, 6]];
  const height = 220;
  const drawn = new Map();

  // The colours of the style sheet have a light and a dark value; a computed style has the one in use.
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };

  // Aligned columns: all places of the horizontal axis, then the values of each series there.
  const columns = (series) => {
    const places = [...new Set(series.flatMap((one) => one.points.map(([x]) => x)))].sort((a, b) => a - b);
    const values = series.map((one) => {
      const at = new Map(one.points);
      return places.map((x) => at.get(x) ?? null);
    });
    return [places, ...values];
  };

  // A sample of the line or the point before the name of a series.
  const labelOf = (name, isPoint, look) => {
    const create = (tag, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const sample = create("svg", { width: isPoint ? 10 : 28, height: 10, "aria-hidden": "true" });
    sample.append(isPoint ? create("circle", { cx: 5, cy: 5, r: 4, ...look }) : create("path", { d: "M0 5h28", ...look }));
    const label = document.createElement("span");
    label.append(sample, ` ${name}`);
    return label;
  };

  // Seconds of a day, in the time zone of the viewer.
  const clock = ({ scales: { x } }, value) =>
    new Date(value * 1000).toLocaleTimeString([], { timeStyle: x.max - x.min < 180 ? "medium" : "short", hour12: false });

  const shown = (plot, value) => value == null ? "" : String(+value.toPrecision(6));

  const seriesOf = (chart) => (one, at) => {
    const stroke = colour(colours[at % colours.length]);
    const dash = dashes[(at + Math.floor(at / colours.length)) % dashes.length];
    const fill = chart.points && at % 2 === 0 ? stroke : "none";
    const look = { stroke, fill, "stroke-width": 2, "stroke-dasharray": chart.points ? "" : dash.join(" ") };
    const series = { label: labelOf(one.label, chart.points, look), stroke, width: 2, spanGaps: true, value: shown };
    if (chart.time) return { ...series, dash, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } };
    if (!chart.points) return { ...series, dash, points: { fill: colour("--sheet") } };
    return { ...series, paths: () => null, points: { show: true, size: 10, width: 2, fill: fill === "none" ? "transparent" : fill } };
  };

  // Points at the ends of the axis are not cut.
  const around = (chart) => (plot, min, max) => {
    if (min === null) return [0, 1];
    return chart.log ? [min / 1.5, max * 1.5] : [min - (max - min) / 20, max + (max - min) / 20];
  };

  const options = (chart, width) => {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const longest = (values) => Math.max(...values.map((value) => String(value ?? "").length));
    return {
      title: chart.title, width, height, ...(chart.time && { padding: [null, 32, null, null] }),
      scales: { x: { time: !!chart.time, distr: chart.log ? 3 : 1, ...(chart.points && { range: around(chart) }) }, ...(chart.time && { y: { range: (plot, min, max) => [0, (max ?? 0) + 0.5] } }) },
      cursor: { focus: { prox: 16 } },
      focus: { alpha: 0.35 },
      legend: { markers: { show: false } },
      series: [{ label: chart.x, value: chart.time ? (plot, value) => value == null ? "" : clock(plot, value) : shown }, ...chart.series.map(seriesOf(chart))],
      axes: [{ ...axis, label: chart.x, labelSize: 20, size: 32, ...(chart.time && { space: (plot, axis, min, max) => max - min < 180 ? 64 : 46, values: (plot, values) => values.map((value) => clock(plot, value)) }) }, { ...axis, ...(chart.time && { incrs: [1, 2, 5, 10, 20, 50, 100] }), size: (plot, values) => values ? 7 * longest(values) + 20 : 50 }],
    };
  };

  const remove = (element) => {
    drawn.get(element).plot.destroy();
    resized.unobserve(element);
    drawn.delete(element);
    element.replaceChildren();
  };

  const widthOf = (element) => {
    const style = getComputedStyle(element);
    return Math.max(element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight), 100);
  };

  const namesOf = ({ title, x, points, log, series }) => JSON.stringify([title, x, points, log, series.map((one) => one.label)]);

  const draw = (element, source) => {
    const chart = JSON.parse(source);
    const plot = new uPlot(options(chart, widthOf(element)), columns(chart.series), element);
    drawn.set(element, { plot, source, names: namesOf(chart) });
    resized.observe(element);
  };

  // New values of the same series keep what the viewer has hidden and the part that is shown enlarged.
  const update = (element, source) => {
    const before = drawn.get(element);
    if (before.source === source) return;
    const chart = JSON.parse(source);
    if (namesOf(chart) !== before.names) {
      remove(element);
      return draw(element, source);
    }
    const { plot } = before;
    const places = plot.data[0];
    const { min, max } = plot.scales.x;
    const isWhole = places.length < 2 || min <= places[0] && max >= places[places.length - 1];
    plot.setData(columns(chart.series), isWhole);
    if (!isWhole) plot.redraw();
    before.source = source;
  };

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = drawn.get(target)?.plot;
      const width = widthOf(target);
      if (plot && plot.width !== width) plot.setSize({ width, height });
    }
  });

  const all = () => {
    for (const element of [...drawn.keys()]) if (!element.isConnected) remove(element);
    for (const element of document.querySelectorAll("[data-chart]")) {
      const source = element.dataset.chart;
      drawn.has(element) ? update(element, source) : draw(element, source);
    }
  };
  all();
  document.addEventListener("portal:updated", all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const element of [...drawn.keys()]) remove(element);
    all();
  });
})();
