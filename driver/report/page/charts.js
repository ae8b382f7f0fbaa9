// The charts: of one group, of the rows that the filters leave.
const SERIES = 8;
const BARS = 14;
const FONT = "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, Noto Sans CJK SC, sans-serif";
const LIGHT = ["#0b5cad", "#c25400", "#00806a", "#9a3d8f", "#7a6a00", "#3b8fd1", "#a3192e", "#5b6570"];
const DARK = ["#6cb2f5", "#f0954a", "#3fc3a5", "#d98ad0", "#cdb93f", "#9bd0ff", "#ff8f86", "#a9b3bd"];
const drawn = new Map();

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
  holder.classList.toggle("empty", option === null);
  holder.replaceChildren();
  holder.style.height = "";
  if (option === null) {
    holder.textContent = emptyText;
    return;
  }
  const bars = option.yAxis.data?.length;
  holder.style.height = bars ? `${Math.max(200, 29 * bars + 90)}px` : "";
  const { ink, soft, line, ground, series } = palette();
  const axis = (found) => ({
    nameTextStyle: { color: soft }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false }, nameLocation: "middle",
    splitLine: { lineStyle: { color: line, opacity: 0.6 } }, ...found, axisLabel: { color: soft, fontSize: 11, ...found.axisLabel },
  });
  const chart = echarts.init(holder, null, { renderer: "svg" });
  chart.setOption({
    animation: false, color: series, aria: { enabled: true }, textStyle: { fontFamily: FONT, color: ink },
    legend: { type: "scroll", bottom: 0, textStyle: { color: soft, fontSize: 11 }, pageTextStyle: { color: soft }, pageIconColor: ink, icon: "roundRect", itemWidth: 12, itemHeight: 12 },
    grid: { left: 12, right: 20, top: 16, bottom: 58, containLabel: true, ...option.grid },
    ...option, xAxis: axis(option.xAxis), yAxis: axis(option.yAxis),
    tooltip: { backgroundColor: ground, borderColor: line, textStyle: { color: ink, fontSize: 12 }, confine: true, renderMode: "richText", ...option.tooltip },
  });
  drawn.set(id, chart);
}

function lineName(row) {
  return `${row.chip} ${row.engine} ${row.precision}`;
}

// The newest row that counts for every chip, engine, precision and batch size.
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
    tooltip: { trigger: "item", formatter: ({ seriesName, value }) => `${seriesName}\nbs${value[0]}: ${short(value[1])} ${item}s/s` },
    xAxis: { type: "log", logBase: 2, name: "batch size", nameGap: 26, splitLine: { show: false } },
    yAxis: { type: "value", name: `${item}s/s`, nameGap: 48 },
    series: lines.slice(0, SERIES).map(([name, found]) => ({
      name, type: "line", symbolSize: 6, symbol: "circle",
      data: found.sort((a, b) => a.batch_size - b.batch_size).map((row) => [row.batch_size, row.p_infer_core]),
    })),
  };
}

function barAxis(found) {
  return { type: "category", inverse: true, data: found.map((row) => `${row.chip}\n${row.engine} ${row.precision} bs${row.batch_size}`), axisLabel: { width: 150, overflow: "truncate", fontSize: 10, lineHeight: 12 }, splitLine: { show: false } };
}

function wholeChart(members, item) {
  const found = best(members, BARS);
  if (!found.length) return null;
  return {
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: short },
    xAxis: { type: "value", name: `${item}s/s`, nameGap: 24 }, yAxis: barAxis(found),
    series: [
      { name: "p_infer_core (from memory)", type: "bar", data: found.map((row) => row.p_infer_core), barGap: "10%" },
      { name: "p_infer_whole (from files)", type: "bar", data: found.map((row) => row.p_infer_whole) },
    ],
  };
}

function timeChart(members) {
  const found = best(members, BARS).filter((row) => row.shares.some(Boolean));
  if (!found.length) return null;
  return {
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: (value) => `${short(value)} s` },
    xAxis: { type: "value", name: "s", nameGap: 24 }, yAxis: barAxis(found),
    series: data.shares.names.map((name, place) => ({ name, type: "bar", stack: "time", data: found.map((row) => row.shares[place]) })),
  };
}

function accuracyChart(members) {
  const judged = members.filter((row) => row.acc_infer !== null && row.gate_reference !== null);
  const failed = judged.filter((row) => row.struck);
  const found = [...failed, ...best(judged.filter((row) => !row.struck), BARS)].slice(0, BARS);
  if (!found.length) return null;
  const { bad, soft } = palette();
  const gate = (row) => row.gate_reference * (1 - (row.gate_allowed_drop ?? 0));
  return {
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: short },
    xAxis: { type: "value", scale: true, name: data.groups[found[0].group].metric, nameGap: 24 }, yAxis: barAxis(found),
    series: [
      { name: "accuracy", type: "scatter", symbolSize: 11, data: found.map((row, place) => ({ value: [row.acc_infer, place], itemStyle: row.struck ? { color: bad } : {} })) },
      { name: "gate", type: "scatter", symbol: "rect", symbolSize: [2, 16], itemStyle: { color: soft }, data: found.map((row, place) => [gate(row), place]) },
      { name: "reference", type: "scatter", symbol: "diamond", symbolSize: 8, itemStyle: { color: soft }, data: found.map((row, place) => [row.gate_reference, place]) },
    ],
  };
}

function publishedChart(members, item) {
  const found = publishedPairs(members).filter(([, figure]) => figure.chips === 1).slice(0, BARS);
  if (!found.length) return null;
  return {
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: short },
    xAxis: { type: "value", name: `${item}s/s`, nameGap: 24 }, yAxis: barAxis(found.map(([row]) => row)),
    series: [
      { name: "measured here", type: "bar", data: found.map(([row]) => row.p_infer_core), barGap: "10%" },
      { name: "published", type: "bar", data: found.map(([, figure]) => figure.p_infer_core) },
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

async function latencyChart(members) {
  const found = await seriesOf(members, "latency");
  if (!found.length) return null;
  return {
    tooltip: { trigger: "item", formatter: ({ seriesName, value }) => `${seriesName}\n${value[1]} % of calls within ${short(value[0])} ms` },
    xAxis: { type: "log", name: "ms, one call in flight", nameGap: 26, axisLabel: { formatter: String } },
    yAxis: { type: "value", name: "% of calls", nameGap: 36, max: 100 },
    series: found.map(([row, values]) => ({ name: row.label, type: "line", showSymbol: false, data: values.map((value, place) => [value, QUANTILES[place]]) })),
  };
}

async function monitorChart(members, figure, unit) {
  const found = (await seriesOf(members, "monitor")).filter(([, series]) => series[figure].some((value) => value !== null));
  if (!found.length) return null;
  return {
    tooltip: { trigger: "item", formatter: ({ seriesName, value }) => `${seriesName}\n${short(value[0])} s: ${short(value[1])} ${unit}` },
    xAxis: { type: "value", name: "s since the job's start", nameGap: 26, splitLine: { show: false } },
    yAxis: { type: "value", name: unit, nameGap: 40 },
    series: found.map(([row, series]) => ({ name: row.label, type: "line", showSymbol: false, data: series.t_s.map((time, place) => [time, series[figure][place]]) })),
  };
}

let drawing = 0;

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
  const lines = byLine(members).length;
  document.getElementById("chart-hint").textContent = lines > SERIES
    ? `${members.length} newest rows that count; charts show the fastest ${SERIES} of ${lines} lines and ${BARS} bars: filter to see others.`
    : `${members.length} newest rows that count.`;
  draw("chart-batch", batchChart(members, group.item), "No throughput to show.");
  draw("chart-whole", wholeChart(members, group.item), "No throughput to show.");
  draw("chart-time", timeChart(members), "No times to show.");
  draw("chart-published", publishedChart(members, group.item), "No row of this table has a published counterpart.");
  draw("chart-accuracy", accuracyChart(inGroup), "No accuracy with a reference to hold it against.");
  renderBatchTable(group);
  const later = [
    ["chart-latency", await latencyChart(members), "No latency samples."],
    ["chart-memory", await monitorChart(members, "memory_gib", "GiB"), "No monitor told memory."],
    ["chart-power", await monitorChart(members, "power_w", "W"), "No monitor told power."],
  ];
  if (mine !== drawing) return;
  later.forEach(([id, option, emptyText]) => draw(id, option, emptyText));
  document.documentElement.dataset.drawn = "true";
}

function renderBatchTable(group) {
  const holder = document.getElementById("batch-table");
  holder.replaceChildren();
  if (group.batch) holder.append(element("h3", {}, "p_infer_core by batch size"), simpleTable(group.batch.headers, group.batch.rows, 1));
}

function simpleTable(headers, lines, texts, className = "") {
  const cell = (name, place, text) => element(name, { class: place < texts ? "text" : null, scope: name === "th" ? "col" : null }, text);
  return element("div", { class: "scroll", tabindex: "0" }, element("table", { class: className },
    element("thead", {}, element("tr", {}, ...headers.map((header, place) => cell("th", place, header)))),
    element("tbody", {}, ...lines.map((line) => element("tr", {}, ...line.map((text, place) => cell("td", place, text)))))));
}
