// The roofline: what each chip's arithmetic and memory allow, and where the rows are below it.
const TERA = 1e12;
const ROOF_ICON = "path://M0 5h12v2H0z";

function rooflineChart(members) {
  const known = best(members, members.length).filter((row) => row.intensity !== null && row.peak_ops !== null);
  if (!known.length) return null;
  const lines = byLine(known).slice(0, SERIES);
  const shown = lines.flatMap(([, found]) => found);
  const roofs = roofsOf(shown);
  const intensities = shown.map((row) => row.intensity);
  const places = [...intensities, ...roofs.map(ridge)];
  const range = [10 ** Math.floor(Math.log10(Math.min(...places) / 1.5)), 10 ** Math.ceil(Math.log10(Math.max(...places) * 1.5))];
  return {
    tooltip: { trigger: "item", formatter: rooflineTooltip },
    xAxis: { type: "log", name: t("arithmetic intensity, FLOP/byte"), nameGap: 26, min: range[0], max: range[1], axisLabel: { formatter: tick } },
    yAxis: { type: "log", name: "TFLOP/s", axisLabel: { formatter: tick } },
    plot: 340, legend: { data: [...lines.map(([name]) => ({ name })), ...roofs.map(({ name }) => ({ name, icon: ROOF_ICON }))] },
    series: [
      ...lines.map(([name, found], place) => ({
        name, type: "scatter", symbolSize: 9,
        data: found.map((row) => ({ ...point(row, row.intensity, place, "mfu"), value: [row.intensity, row.achieved_ops / TERA] })),
      })),
      ...roofs.map((roof) => roofSeries(roof, range)),
    ],
  };
}

function rooflineTooltip({ seriesName, data: { row, roof } }) {
  if (!row) return `${seriesName}\n${roof}`;
  const place = t("{intensity} FLOP/byte, {achieved} TFLOP/s, MFU {mfu}", { intensity: short(row.intensity), achieved: short(row.achieved_ops / TERA), mfu: row.figures[5] });
  return `${row.label}\n${place}${markOf(row, "p_infer_core", "mfu")}`;
}

// One roof for each chip and peak; arithmetics with the same peak share it.
function roofsOf(shown) {
  const roofs = new Map();
  for (const row of shown) {
    const key = `${row.chip} ${row.peak_ops}`;
    const roof = roofs.get(key) ?? { chip: row.chip, arithmetics: new Set(), peak: row.peak_ops, bandwidth: null };
    roof.arithmetics.add(row.arithmetic ?? row.precision);
    roof.bandwidth ??= row.bandwidth;
    roofs.set(key, roof);
  }
  return [...roofs.values()].sort((left, right) => right.peak - left.peak).map((roof, place) => {
    const letter = String.fromCharCode(65 + place);
    const limit = t("limit of {chip}, {arithmetic}", { chip: roof.chip, arithmetic: [...roof.arithmetics].sort().join(", ") });
    return { ...roof, letter, name: `${letter}: ${limit}` };
  });
}

// The intensity from which arithmetic limits; a roof without a bandwidth has none.
function ridge({ peak, bandwidth }) {
  return bandwidth === null ? 1 : peak / bandwidth;
}

// A grey line, so that the colours belong to the measured lines alone. A letter beside its end is explained in
// the legend: names would cover each other, and the points below them.
function roofSeries(roof, [least, most]) {
  const { soft } = palette();
  const says = roof.bandwidth === null
    ? t("peak {peak} TFLOP/s; the memory bandwidth is not known", { peak: short(roof.peak / TERA) })
    : t("peak {peak} TFLOP/s, memory {bandwidth} GB/s", { peak: short(roof.peak / TERA), bandwidth: short(roof.bandwidth / 1e9) });
  const at = (x) => ({ value: [x, Math.min(roof.peak, roof.bandwidth === null ? roof.peak : x * roof.bandwidth) / TERA], roof: says });
  const places = roof.bandwidth === null ? [least, most] : [least, ridge(roof), most];
  const label = { show: true, position: "right", distance: 3, formatter: roof.letter, color: soft, fontSize: 11, fontWeight: "bold" };
  return {
    name: roof.name, type: "line", symbol: "circle", symbolSize: 5, color: soft, labelLayout: { moveOverlap: "shiftY" },
    lineStyle: { type: roof.bandwidth === null ? "dashed" : "solid", width: 1.5, color: soft },
    data: places.map((x, place) => (place === places.length - 1 ? { ...at(x), label } : at(x))),
  };
}
