// The details of a row, unpacked on demand, some fifty rows at a time.
const packedChunks = [...document.querySelectorAll("script[data-first-row]")];
const QUANTILES = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 99, 99.9, 100];
const unpackedChunks = new Map();

async function detailsOf(row) {
  const chunk = packedChunks.findLast(({ dataset }) => Number(dataset.firstRow) <= row.index);
  if (chunk === undefined) return null;
  if (!unpackedChunks.has(chunk)) unpackedChunks.set(chunk, unpackChunk(chunk));
  const details = await unpackedChunks.get(chunk);
  return details[row.index - Number(chunk.dataset.firstRow)] ?? null;
}

async function unpackChunk(chunk) {
  const bytes = Uint8Array.from(atob(chunk.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// Untrusted text: control characters and direction marks are spelled out, as everywhere in the report.
function plain(text) {
  return String(text).replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g,
    (letter) => {
      const code = letter.charCodeAt(0);
      return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
    },
  );
}

function pairs(found, prefix = "") {
  return Object.entries(found).flatMap(([key, value]) => {
    const name = prefix ? `${prefix}.${key}` : key;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return pairs(value, name);
    return [[name, Array.isArray(value) ? JSON.stringify(value) : String(value)]];
  });
}

function definitions(title, entries, { wide = false, code = false } = {}) {
  const list = element("dl");
  for (const [name, value] of entries) {
    list.append(element("dt", {}, plain(code ? name : t(name))), element("dd", code ? { class: "code" } : {}, plain(value)));
  }
  return element("div", wide ? { class: "whole-width" } : {}, element("h4", {}, t(title)), list);
}

async function detailBody(row) {
  const details = await detailsOf(row);
  const body = element("div", { class: "detail-body" });
  body.append(definitions("Result", identity(row)));
  if (details === null) {
    body.append(element("p", {}, t("This file has reached its size limit; the provenance of this row is in its result.json.")));
    return body;
  }
  if (details.gone) {
    body.append(element("p", {}, t("The result can no longer be read: {reason}", { reason: plain(details.gone) })));
    return body;
  }
  body.append(definitions("Figures", figuresOf(row, details)));
  if (details.rerun.length) {
    body.append(definitions("Rerun", details.rerun, { wide: true }));
  }
  if (details.audit.length) {
    body.append(definitions("Audit", details.audit, { wide: true }));
  }
  body.append(definitions("Where e2e_time went", timesOf(row)));
  body.append(definitions("Stages", details.stages.map(([name, status, wall]) => [name, `${status}, ${short(wall)} s`])));
  if (details.failure) {
    body.append(definitions("Failure", Object.entries(details.failure).map(([key, value]) => [key, value ?? "/"]), { wide: true }));
  }
  if (details.warnings.length) {
    const warnings = details.warnings.map(([code, message, remedy]) => [code, `${message} → ${remedy}`]);
    body.append(definitions("Warnings", warnings, { wide: true }));
  }
  const provenance = [...pairs(details.provenance), ["digest", details.digest ?? "/"]];
  body.append(definitions("Provenance", provenance, { wide: true, code: true }));
  return body;
}

function identity(row) {
  return [
    ["chip", `${row.vendor} ${row.chip}`], ["stack", row.stack], ["engine", row.engine],
    ["precision", row.arithmetic && row.arithmetic !== row.precision ? t("{precision} (ran {arithmetic})", row) : row.precision],
    ["batch size", row.batch_size], ["tier", row.tier], ["runner", row.runner], ["status", row.status],
    ["host", row.host ?? "/"], ["started", row.started_utc], ["file", row.path],
  ];
}

function figuresOf(row, details) {
  const { item } = data.groups[row.group];
  const latency = (name) => withMark(row, "latency_ms", row[name] === null ? "/" : `${short(row[name])} ms`);
  return [
    ["p_infer_core", withMark(row, "p_infer_core", `${short(row.p_infer_core)} ${rateOf(item)}`)],
    ["across processes", row.core_cv === null ? "/" : `± ${(100 * row.core_cv).toFixed(1)} %`],
    ["95 % interval of the median", row.core_low !== null ? `${short(row.core_low)}–${short(row.core_high)}` : t("/ (fewer than three processes)")],
    ["latency p50", latency("latency_p50_ms")], ["latency p90", latency("latency_p90_ms")],
    ["latency p99", latency("latency_p99_ms")], ["latency max", latency("latency_max_ms")],
    ["MFU, published convention", details.published_mfu === null ? "/" : `${short(details.published_mfu)} %`],
    ["energy of the core loop", withMark(row, "energy_j", details.energy_j === null ? "/" : `${short(details.energy_j)} J`)],
    ["energy per item", withMark(row, "energy_j", row.j_per_item === null ? "/" : `${short(row.j_per_item)} J/${t(item)}`)],
    ["throughput per watt", withMark(row, "energy_j", row.items_per_s_w === null ? "/" : `${short(row.items_per_s_w)} ${rateOf(item)}/W`)],
    ["arithmetic intensity", row.intensity === null ? "/" : `${short(row.intensity)} FLOP/byte`],
    ...Object.entries(details.acc_also).map(([name, value]) => [name, short(value)]),
  ];
}

function timesOf(row) {
  return data.shares.names.map((name, place) => [name, `${short(row.shares[place])} s`]);
}
