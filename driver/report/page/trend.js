// How one configuration changed over its results: by time, commit or driver version.
const [STARTED, VALUE, LOW, HIGH, COMMIT, DRIVER, MARKS] = [0, 1, 2, 3, 4, 5, 6];

function trendChart(index, item) {
  const lines = trendLines(index);
  if (!lines.length) return null;
  const by = document.getElementById("chart-trend-by").value;
  const member = { commit: COMMIT, driver: DRIVER }[by];
  const places = member === undefined ? null : categories(lines, member);
  const x = (found) => (member === undefined ? found[STARTED] : found[member] ?? "/");
  const title = { time: t("start of the run"), commit: t("commit, in the order of its first result"), driver: t("driver version, in the order of its first result") }[by];
  return {
    tooltip: { trigger: "item", formatter: ({ seriesName, data: { found } }) => trendTooltip(seriesName, found, item) },
    xAxis: {
      type: places ? "category" : "time", data: places, name: title, nameGap: 26, splitLine: { show: false }, boundaryGap: places ? true : ["4%", "4%"],
    },
    yAxis: { type: "value", scale: true, name: `p_infer_core, ${rateOf(item)}` },
    series: lines.map(({ name, points }, place) => ({
      name, type: "line", symbol: "circle", symbolSize: 7, markLine: strokes(points, x),
      data: points.map((found) => ({ value: [x(found), found[VALUE]], itemStyle: found[MARKS] === null ? {} : hollow(place), found })),
    })),
  };
}

// The table's configurations that pass the filters, named with what tells them apart; the fastest first.
function trendLines(index) {
  const value = (id) => document.getElementById(id).value;
  const lines = data.trends.filter(({ group, identity: [vendor, , , precision] }) => group === index
    && (!value("filter-vendor") || vendor === value("filter-vendor")) && (!value("filter-precision") || precision === value("filter-precision")));
  const label = ({ identity: [, chip, engine, precision, size] }) => `${chip} ${engine} ${precision} bs${size}`;
  const labels = lines.map(label);
  return lines.map((line, place) => {
    const alone = labels.indexOf(labels[place]) === labels.lastIndexOf(labels[place]);
    return { ...line, name: alone ? labels[place] : [labels[place], line.host, line.tier, line.identity[5]].filter(Boolean).join(" · ") };
  }).sort((left, right) => right.points.at(-1)[VALUE] - left.points.at(-1)[VALUE]).slice(0, SERIES);
}

// The commits or drivers of all lines, in the order of their first result.
function categories(lines, member) {
  const found = lines.flatMap(({ points }) => points).sort((left, right) => (left[STARTED] < right[STARTED] ? -1 : 1));
  return [...new Set(found.map((one) => one[member] ?? "/"))];
}

function strokes(points, x) {
  return {
    silent: true, symbol: ["none", "none"], label: { show: false }, lineStyle: { type: "solid", width: 2, opacity: 0.7 }, emphasis: { disabled: true },
    data: points.filter((found) => found[LOW] !== null).map((found) => [{ coord: [x(found), found[LOW]] }, { coord: [x(found), found[HIGH]] }]),
  };
}

function trendTooltip(name, found, item) {
  const interval = found[LOW] === null ? "" : ` (${t("95 % interval {low}–{high}", { low: short(found[LOW]), high: short(found[HIGH]) })})`;
  const mark = found[MARKS] === null ? "" : `\n! ${found[MARKS]}`;
  const origin = t("commit {commit}, driver {driver}", { commit: found[COMMIT] ?? "/", driver: found[DRIVER] ?? "/" });
  return `${name}\n${found[STARTED]}: ${short(found[VALUE])} ${rateOf(item)}${interval}\n${origin}${mark}`;
}
