// The charts of one group, drawn from the rows that pass the filters.
const SERIES = 8;
const BARS = 14;
const FONT = "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, Noto Sans CJK SC, sans-serif";
const LIGHT = ["#0b5cad", "#c25400", "#00806a", "#9a3d8f", "#7a6a00", "#3b8fd1", "#a3192e", "#5b6570"];
const DARK = ["#6cb2f5", "#f0954a", "#3fc3a5", "#d98ad0", "#cdb93f", "#9bd0ff", "#ff8f86", "#a9b3bd"];
const drawn = new Map();
let notDrawn = [];

function isDark() {
  return document.documentElement.dataset.theme === "dark";
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return { ink: colour("--ink"), soft: colour("--soft"), line: colour("--line"), ground: colour("--ground"), bad: colour("--bad"), series: isDark() ? DARK : LIGHT };
}

function draw(id, option, emptyText) {
  const holder = document.getElementById(id);
  drawn.get(id)?.dispose();
  drawn.delete(id);
  holder.replaceChildren();
  holder.parentElement.hidden = option === null;
  if (option === null) {
    notDrawn.push(`${holder.previousElementSibling.firstChild.textContent.trim()}: ${emptyText}`);
    return;
  }
  const bars = option.yAxis.data?.length;
  const legend = legendOf(option, holder.clientWidth);
  holder.style.height = `${(bars ? Math.max(150, option.yAxis.rowHeight * bars + 40) : option.plot ?? 270) + legend.height}px`;
  const { ink, soft, line, ground, series } = palette();
  const axis = (found) => ({
    nameTextStyle: { color: soft }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false }, nameLocation: "middle",
    splitLine: { lineStyle: { color: line, opacity: 0.6 } }, ...found, axisLabel: { color: soft, fontSize: 11, hideOverlap: true, ...found.axisLabel },
  });
  // Beside a narrow axis a turned name is cut; above it, it is whole.
  const named = option.yAxis.name ? { nameLocation: "end", nameGap: 12, nameTextStyle: { color: soft, align: "left", padding: [0, 0, 0, -8] } } : {};
  const legendStyle = {
    type: legend.type, formatter: legend.formatter, bottom: 0, icon: "roundRect", itemWidth: 12, itemHeight: 12, itemGap: LEGEND_GAP,
    textStyle: { color: soft, fontSize: 11, lineHeight: LEGEND_LINE }, pageTextStyle: { color: soft }, pageIconColor: ink, ...option.legend,
  };
  const chart = echarts.init(holder, null, { renderer: "svg", locale: data.language === "zh" ? "ZH" : "EN" });
  chart.setOption({
    animation: false, color: series, aria: { enabled: true }, textStyle: { fontFamily: FONT, color: ink },
    grid: { left: 12, right: 20, top: option.yAxis.name ? 34 : 16, bottom: 38 + legend.height, containLabel: true },
    ...option, legend: legendStyle, xAxis: axis(option.xAxis), yAxis: axis({ ...option.yAxis, ...named }),
    tooltip: { backgroundColor: ground, borderColor: line, textStyle: { color: ink, fontSize: 12 }, confine: true, renderMode: "richText", ...option.tooltip },
  });
  drawn.set(id, chart);
}

const LEGEND_LINES = 10;
const LEGEND_LINE = 14;
const LEGEND_GAP = 10;
const pen = document.createElement("canvas").getContext("2d");

function textWidth(text, size) {
  pen.font = `${size}px ${FONT}`;
  return pen.measureText(text).width;
}

// A text in lines no wider than the room, in pixels; it breaks between words.
function wrapped(text, room, size) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && textWidth(longer, size) <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

// The layout of a legend: all names, long ones in several lines, or pages to turn where they would fill the chart.
function legendOf({ legend, series }, width) {
  if (legend?.show === false) return { type: "plain", height: 0 };
  const room = width - 40;
  let [height, tallest, left] = [0, 0, 0];
  for (const name of new Set((legend?.data ?? series).map((one) => one.name ?? one))) {
    const lines = wrapped(name, room, 11);
    const taken = Math.max(...lines.map((line) => textWidth(line, 11))) + 17 + LEGEND_GAP;
    if (taken > left) [height, tallest, left] = [height + tallest + LEGEND_GAP, 0, width - 10];
    [tallest, left] = [Math.max(tallest, lines.length * LEGEND_LINE), left - taken];
  }
  const isLong = height + tallest > LEGEND_LINES * (LEGEND_LINE + LEGEND_GAP);
  const formatter = (name) => wrapped(name, room, 11).join("\n");
  return { type: isLong ? "scroll" : "plain", height: isLong ? 50 : height + tallest, formatter };
}

function lineName(row) {
  return `${row.chip} ${row.engine} ${row.precision}`;
}

// For each chip, engine, precision and batch size, the newest row that counts.
function newestRows(members) {
  const newest = new Map();
  for (const row of members) {
    const key = `${row.vendor} ${lineName(row)} ${row.stack} ${row.batch_size}`;
    if (counts(row) && (!newest.has(key) || newest.get(key).started_utc < row.started_utc)) newest.set(key, row);
  }
  return [...newest.values()];
}

function best(members, limit) {
  return [...members].filter((row) => row.p_infer_core !== null)
    .sort((left, right) => right.p_infer_core - left.p_infer_core).slice(0, limit);
}

function byLine(members) {
  const lines = new Map();
  for (const row of members) lines.set(lineName(row), [...(lines.get(lineName(row)) ?? []), row]);
  const top = (found) => Math.max(...found.map((row) => row.p_infer_core ?? 0));
  return [...lines.entries()].sort((left, right) => top(right[1]) - top(left[1]));
}

function batchChart(members, item) {
  const lines = byLine(members.filter((row) => row.p_infer_core !== null));
  if (!lines.length) return null;
  return {
    tooltip: {
      trigger: "item", formatter: ({ seriesName, value, data: { row } }) => `${seriesName}\nbs${value[0]}: ${short(value[1])} ${rateOf(item)}${intervalOf(row)}${markOf(row, "p_infer_core")}`,
    },
    xAxis: { type: "log", logBase: 2, name: t("batch size, items"), nameGap: 26, splitLine: { show: false } },
    yAxis: { type: "value", name: `p_infer_core, ${rateOf(item)}` },
    series: lines.slice(0, SERIES).map(([name, found], place) => ({
      name, type: "line", symbol: "circle", symbolSize: 7, markLine: intervals(found, (row) => row.batch_size),
      data: found.sort((a, b) => a.batch_size - b.batch_size).map((row) => point(row, row.batch_size, place)),
    })),
  };
}

// A point of p_infer_core; hollow where a warning concerns it, or the figure that is its x.
function point(row, x, place, ...figures) {
  return { value: [x, row.p_infer_core], row, itemStyle: isMarked(row, "p_infer_core", ...figures) ? hollow(place) : {} };
}

// The style of a hollow symbol of the series at this place.
function hollow(place) {
  const { ground, series } = palette();
  return { color: ground, borderColor: series[place % series.length], borderWidth: 2, opacity: 1 };
}

// A number at an axis: "1,000", "0.25".
function tick(value) {
  return Number(Number(value).toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 12 });
}

// The 95 % intervals of p_infer_core as vertical strokes; fewer than three processes have none.
function intervals(found, x) {
  return {
    silent: true, symbol: ["none", "none"], label: { show: false }, lineStyle: { type: "solid", width: 2, opacity: 0.7 }, emphasis: { disabled: true },
    data: found.filter((row) => row.core_low !== null).map((row) => [{ coord: [x(row), row.core_low] }, { coord: [x(row), row.core_high] }]),
  };
}

function intervalOf(row) {
  return row.core_low === null ? "" : ` (${t("95 % interval {low}–{high}", { low: short(row.core_low), high: short(row.core_high) })})`;
}

// Throughput over the latency of single calls, a point for each batch size, and the points that no other beats in both.
function paretoChart(members, item) {
  const known = members.filter((row) => row.p_infer_core !== null && row.latency_p50_ms !== null);
  if (!known.length) return null;
  const front = [];
  for (const row of known.filter((one) => !isMarked(one, "p_infer_core", "latency_ms")).sort((a, b) => a.latency_p50_ms - b.latency_p50_ms || b.p_infer_core - a.p_infer_core)) {
    if (!front.length || row.p_infer_core > front.at(-1).p_infer_core) front.push(row);
  }
  const { soft } = palette();
  return {
    tooltip: {
      trigger: "item", formatter: ({ seriesName, data: { row } }) => (row
        ? `${row.label}\n${short(row.latency_p50_ms)} ms, ${short(row.p_infer_core)} ${rateOf(item)}${intervalOf(row)}${markOf(row, "p_infer_core", "latency_ms")}` : seriesName),
    },
    xAxis: { type: "log", logBase: 2, name: t("latency p50, ms per call, one in flight"), nameGap: 26, splitLine: { show: false }, axisLabel: { formatter: tick } },
    yAxis: { type: "value", name: `p_infer_core, ${rateOf(item)}` },
    series: [
      ...byLine(known).slice(0, SERIES).map(([name, found], place) => ({
        name, type: "line", symbol: "circle", symbolSize: 7, lineStyle: { width: 1, opacity: 0.5 }, markLine: intervals(found, (row) => row.latency_p50_ms),
        data: [...found].sort((a, b) => a.batch_size - b.batch_size).map((row) => point(row, row.latency_p50_ms, place, "latency_ms")),
      })),
      {
        name: t("best of all (Pareto front)"), type: "line", step: "end", symbol: "none", silent: true, color: soft, lineStyle: { type: "dashed", width: 1.5, color: soft },
        data: front.map((row) => [row.latency_p50_ms, row.p_infer_core]),
      },
    ],
  };
}

// The rows of a bar chart; "!" follows one with a drawn figure that a warning concerns.
function barAxis(found, ...figures) {
  const width = narrow() ? 120 : 160;
  const mark = (row) => (isMarked(row, ...figures) ? " !" : "");
  const labels = found.map((row) => [row.chip, `${row.engine} ${row.precision} bs${row.batch_size}${mark(row)}`].flatMap((text) => wrapped(text, width, 10)));
  return {
    type: "category", inverse: true, data: labels.map((lines) => lines.join("\n")), splitLine: { show: false },
    rowHeight: 12 * Math.max(...labels.map((lines) => lines.length)) + 6,
    axisLabel: { width, overflow: "break", fontSize: 10, lineHeight: 12, hideOverlap: false, interval: 0 },
  };
}

function narrow() {
  return innerWidth < 640;
}

// A bar; hollow where a warning concerns its figure. The row is for the tooltip.
function bar(row, value, place, figure) {
  const colour = palette().series[place];
  const dashed = { color: "transparent", borderColor: colour, borderWidth: 1.5, borderType: "dashed" };
  return { value, row, itemStyle: isMarked(row, figure) ? dashed : {} };
}

// The tooltip of a bar chart: its row, its figures, and what the warnings say of them.
function barTooltip(show, ...figures) {
  return {
    trigger: "axis", axisPointer: { type: "shadow" },
    formatter: (found) => {
      const { row } = found[0].data;
      const lines = found.map(({ seriesName, value }) => `${seriesName}: ${show(Array.isArray(value) ? value[0] : value)}`);
      return `${row.label}\n${lines.join("\n")}${markOf(row, ...figures)}`;
    },
  };
}

function wholeChart(members, item) {
  const found = best(members, BARS);
  if (!found.length) return null;
  const series = (name, figure, place) => ({ name, type: "bar", barGap: "10%", data: found.map((row) => bar(row, row[figure], place, figure)) });
  return {
    tooltip: barTooltip(short, "p_infer_core", "p_infer_whole"),
    xAxis: { type: "value", name: rateOf(item), nameGap: 24 }, yAxis: barAxis(found, "p_infer_core", "p_infer_whole"),
    series: [series(t("p_infer_core (from memory)"), "p_infer_core", 0), series(t("p_infer_whole (from files)"), "p_infer_whole", 1)],
  };
}

function timeChart(members) {
  const found = best(members, BARS).filter((row) => row.shares.some(Boolean));
  if (!found.length) return null;
  return {
    tooltip: barTooltip((value) => `${short(value)} s`, "e2e_time_s"),
    xAxis: { type: "value", name: "s", nameGap: 24 }, yAxis: barAxis(found, "e2e_time_s"),
    series: data.shares.names.map((name, place) => ({ name: t(name), type: "bar", stack: "time", data: found.map((row) => bar(row, row.shares[place], place % palette().series.length, "e2e_time_s")) })),
  };
}

// Two bar charts of what the core loop's energy was spent on; only where the monitor sampled power.
function energyChart(members, figure, name, descending) {
  const found = members.filter((row) => row[figure] !== null)
    .sort((left, right) => (descending ? right[figure] - left[figure] : left[figure] - right[figure])).slice(0, BARS);
  if (!found.length) return null;
  return {
    tooltip: barTooltip(short, "energy_j"), legend: { show: false },
    xAxis: { type: "value", name, nameGap: 24 }, yAxis: barAxis(found, "energy_j"),
    series: [{ name, type: "bar", data: found.map((row) => bar(row, row[figure], 0, "energy_j")) }],
  };
}

// A point of a chart with one row per result; red where the gate failed, hollow where a warning concerns it.
function judgedPoint(row, x, place, ...figures) {
  const { bad, series } = palette();
  const colour = row.struck ? bad : series[0];
  return { value: [x, place], row, itemStyle: isMarked(row, ...figures) ? { ...hollow(0), borderColor: colour } : { color: colour } };
}

function judgedChart(found, xAxis, show, figures, series) {
  const { soft } = palette();
  const points = (x) => found.map((row, place) => ({ value: [x(row), place], row }));
  return {
    tooltip: barTooltip(show, ...figures), xAxis, yAxis: barAxis(found, ...figures),
    series: [
      { name: series.name, type: "scatter", symbolSize: 11, data: found.map((row, place) => judgedPoint(row, series.value(row), place, ...figures)) },
      { name: series.gateName, type: "scatter", symbol: "rect", symbolSize: [3, 18], itemStyle: { color: soft }, data: points(series.gate) },
      ...(series.reference ? [{ name: t("accuracy of validation"), type: "scatter", symbol: "diamond", symbolSize: 8, itemStyle: { color: soft }, data: points(series.reference) }] : []),
    ],
  };
}

function judgedRows(members) {
  const failed = members.filter((row) => row.struck);
  return [...failed, ...best(members.filter((row) => !row.struck), BARS)].slice(0, BARS);
}

function accuracyChart(members) {
  // A gate on raw outputs has a cosine as its reference: see fidelityChart.
  const found = judgedRows(members.filter((row) => row.acc_infer !== null && row.gate_reference !== null && row.gate_drop !== null));
  if (!found.length) return null;
  const { metric } = data.groups[found[0].group];
  return judgedChart(found, { type: "value", scale: true, name: t("{metric}, inference (right is better)", { metric }), nameGap: 24 }, short, ["acc_infer", "acc_val"], {
    name: t("accuracy of inference"), value: (row) => row.acc_infer, gateName: t("gate: lowest accuracy that passes"),
    gate: (row) => row.gate_reference * (1 - (row.gate_allowed_drop ?? 0)), reference: (row) => row.gate_reference,
  });
}

// 1 − cosine: a cosine's distance from 1 is what tells precisions apart.
function fidelityChart(members) {
  const found = judgedRows(members.filter((row) => row.cosine_min !== null && row.gate_reference !== null && row.gate_drop === null));
  if (!found.length) return null;
  const distance = (cosine) => Math.max(1 - cosine, 1e-8);
  const exact = (value) => Number(value).toPrecision(3);
  return judgedChart(found, { type: "log", name: t("1 − smallest cosine to fp32 (left is closer)"), nameGap: 24, axisLabel: { formatter: (value) => value.toExponential(0) } }, exact, [], {
    name: t("outputs"), value: (row) => distance(row.cosine_min), gateName: t("gate: largest distance that passes"), gate: (row) => distance(row.gate_reference),
  });
}

function publishedChart(members, item) {
  const found = publishedPairs(members).filter(([, figure]) => figure.chips === 1).slice(0, BARS);
  if (!found.length) return null;
  return {
    tooltip: barTooltip(short, "p_infer_core"),
    xAxis: { type: "value", name: rateOf(item), nameGap: 24 }, yAxis: barAxis(found.map(([row]) => row), "p_infer_core"),
    series: [
      { name: t("measured here"), type: "bar", data: found.map(([row]) => bar(row, row.p_infer_core, 0, "p_infer_core")), barGap: "10%" },
      { name: t("published"), type: "bar", data: found.map(([row, figure]) => ({ value: figure.p_infer_core, row })) },
    ],
  };
}

async function seriesOf(members, name) {
  const found = [];
  for (const row of byLine(members).flatMap(([, line]) => best(line, 1))) {
    const details = await detailsOf(row);
    if (details?.[name]) found.push([row, details[name]]);
    if (found.length === SERIES) break;
  }
  return found;
}

// The quantiles of a row where its details have them, else the percentiles of its table row.
async function quantilesOf(row) {
  const details = await detailsOf(row);
  if (details?.latency) return details.latency.map((value, place) => [value, QUANTILES[place]]);
  const known = [[row.latency_p50_ms, 50], [row.latency_p90_ms, 90], [row.latency_p99_ms, 99], [row.latency_max_ms, 100]];
  return known.filter(([value]) => value !== null);
}

function withLatency(members) {
  return members.filter((row) => row.latency_p50_ms !== null);
}

function fillSizes() {
  const index = Number(document.getElementById("chart-group").value);
  const sizes = [...new Set(withLatency(newestRows(rows.filter((row) => row.group === index))).map((row) => row.batch_size))].sort((a, b) => a - b);
  fillSelect("chart-size", sizes.map(String), sizes.length ? null : "/");
  if (sizes.length) document.getElementById("chart-size").value = String(data.groups[index].common_size);
}

// A line's name and style; dashed and with "!" where a warning concerns its figure.
function marked(row, figure) {
  return { name: withMark(row, figure, row.label), lineStyle: { type: isMarked(row, figure) ? "dashed" : "solid" } };
}

async function latencyChart(members) {
  const size = Number(document.getElementById("chart-size").value);
  const alike = byLine(withLatency(members).filter((row) => row.batch_size === size)).slice(0, SERIES);
  const found = await Promise.all(alike.map(async ([, [row]]) => [row, await quantilesOf(row)]));
  if (!found.length) return null;
  return {
    tooltip: { trigger: "item", formatter: ({ seriesName, value, seriesIndex }) => `${seriesName}\n${t("{share} % of calls within {ms} ms", { share: value[1], ms: short(value[0]) })}${markOf(found[seriesIndex][0], "latency_ms")}` },
    xAxis: { type: "log", logBase: 2, name: t("ms per call of bs{size}, one in flight", { size }), nameGap: 26, axisLabel: { formatter: tick } },
    yAxis: { type: "value", name: t("% of calls"), max: 100 },
    series: found.map(([row, values]) => ({ ...marked(row, "latency_ms"), type: "line", symbol: "circle", symbolSize: 6, showSymbol: values.length < 5, data: values })),
  };
}

async function monitorChart(members, series, unit, figure) {
  const found = (await seriesOf(members, "monitor")).filter(([, seen]) => seen[series].some((value) => value !== null));
  if (!found.length) return null;
  return {
    tooltip: { trigger: "item", formatter: ({ seriesName, value, seriesIndex }) => `${seriesName}\n${short(value[0])} s: ${short(value[1])} ${unit}${markOf(found[seriesIndex][0], figure)}` },
    xAxis: { type: "value", name: t("s since the job's start"), nameGap: 26, splitLine: { show: false } },
    yAxis: { type: "value", name: unit },
    series: found.map(([row, seen]) => ({ ...marked(row, figure), type: "line", showSymbol: false, data: seen.t_s.map((time, place) => [time, seen[series][place]]) })),
  };
}

let drawing = 0;

function chartHint(members) {
  const lines = byLine(members).length;
  const shown = t(members.length === 1 ? "The newest row that counts." : "The newest {count} rows that count.", { count: thousands(members.length) });
  const cut = lines > SERIES ? t("The charts show the fastest {series} of {lines} lines and at most {bars} bars; filter to see others.", { series: SERIES, lines, bars: BARS }) : "";
  const marks = members.some((row) => row.marked[0]) ? t("Hollow or dashed, or with !: a warning concerns the figure.") : "";
  return [shown, cut, marks].filter(Boolean).join(" ");
}

async function renderCharts() {
  drawing += 1;
  const mine = drawing;
  const index = Number(document.getElementById("chart-group").value);
  const group = data.groups[index];
  document.getElementById("charts").hidden = !group;
  document.documentElement.dataset.drawn = String(!group);
  if (!group) return;
  const inGroup = view.shown.filter((row) => row.group === index);
  const members = newestRows(inGroup);
  document.getElementById("chart-hint").textContent = chartHint(members);
  for (const flag of document.querySelectorAll("figcaption .flag")) flag.textContent = group.flags;
  const unit = rateOf(group.item);
  const options = [
    ["chart-batch", batchChart(members, group.item), t("no throughput")],
    ["chart-pareto", paretoChart(members, group.item), t("no row has a throughput and a latency")],
    ["chart-latency", await latencyChart(members), t("no latency at this batch size")],
    ["chart-roofline", rooflineChart(members), t("no row knows its MACs, its bytes and its chip's peak")],
    ["chart-whole", wholeChart(members, group.item), t("no throughput")],
    ["chart-efficiency", energyChart(members, "items_per_s_w", `${unit}/W`, true), t("no energy of the core loop")],
    ["chart-energy", energyChart(members, "j_per_item", `J/${t(group.item)}`, false), t("no energy of the core loop")],
    ["chart-time", timeChart(members), t("no times")],
    ["chart-accuracy", accuracyChart(inGroup), t("no accuracy was compared with a validation")],
    ["chart-fidelity", fidelityChart(inGroup), t("the accuracy, not the raw outputs, is the gate")],
    ["chart-trend", trendChart(index, group.item), t("no configuration has several results")],
    ["chart-published", publishedChart(members, group.item), t("no row has a published counterpart")],
    ["chart-memory", await monitorChart(members, "memory_gib", "GiB", "mem_gib"), t("no monitor reported memory")],
    ["chart-power", await monitorChart(members, "power_w", "W", "energy_j"), t("no monitor reported power")],
  ];
  if (mine !== drawing) return;
  notDrawn = [];
  options.forEach(([id, option, emptyText]) => draw(id, option, emptyText));
  renderNotDrawn();
  renderBatchTable(group);
  document.documentElement.dataset.drawn = "true";
}

function renderNotDrawn() {
  const holder = document.getElementById("not-drawn");
  holder.hidden = !notDrawn.length;
  holder.textContent = `${t("Not drawn")} — ${notDrawn.join("; ")}.`;
}

function renderBatchTable(group) {
  const holder = document.getElementById("batch-table");
  holder.replaceChildren();
  if (group.batch) holder.append(element("h3", {}, t("p_infer_core by batch size")), simpleTable(group.batch.headers, group.batch.rows, 1));
}

function simpleTable(headers, lines, texts, className = "") {
  const cell = (name, place, text) => element(name, { class: place < texts ? "text" : null, scope: name === "th" ? "col" : null, "data-label": name === "td" ? headers[place] : null }, text);
  return element("div", { class: "scroll", tabindex: "0" }, element("table", { class: className },
    element("thead", {}, element("tr", {}, ...headers.map((header, place) => cell("th", place, header)))),
    element("tbody", {}, ...lines.map((line) => element("tr", {}, ...line.map((text, place) => cell("td", place, text)))))));
}
