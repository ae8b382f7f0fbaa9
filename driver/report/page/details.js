// What stands behind a row: unpacked when it is asked for, fifty rows at a time.
const CHUNK_ROWS = 50;
const QUANTILES = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 99, 99.9, 100];
const unpackedChunks = new Map();

async function detailsOf(row) {
  const chunk = Math.floor(row.index / CHUNK_ROWS);
  if (!unpackedChunks.has(chunk)) unpackedChunks.set(chunk, unpackChunk(chunk));
  const details = await unpackedChunks.get(chunk);
  return details === null ? null : details[row.index % CHUNK_ROWS];
}

async function unpackChunk(chunk) {
  const source = document.querySelector(`script[data-chunk="${chunk}"]`);
  if (source === null) return null;
  const bytes = Uint8Array.from(atob(source.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// Foreign text: controls and direction marks are spelled out, as everywhere in the report.
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
    list.append(element("dt", {}, plain(name)), element("dd", code ? { class: "code" } : {}, plain(value)));
  }
  return element("div", wide ? { class: "whole-width" } : {}, element("h4", {}, title), list);
}

async function detailBody(row) {
  const details = await detailsOf(row);
  const body = element("div", { class: "detail-body" });
  body.append(definitions("Result", identity(row)));
  if (details === null) {
    body.append(element("p", {}, "This file is full: the provenance of this row stands in its result.json."));
    return body;
  }
  if (details.gone) {
    body.append(element("p", {}, `The result could not be read again: ${plain(details.gone)}`));
    return body;
  }
  body.append(definitions("Figures", figuresOf(row, details)));
  body.append(definitions("Where e2e_time went", timesOf(row)));
  body.append(definitions("Stages", details.stages.map(([name, status, wall]) => [name, `${status}, ${short(wall)} s`])));
  if (details.failure) {
    body.append(definitions("Failure", Object.entries(details.failure).map(([key, value]) => [key, value ?? "/"]), { wide: true }));
  }
  if (details.warnings.length) {
    const told = details.warnings.map(([code, message, remedy]) => [code, `${message} → ${remedy}`]);
    body.append(definitions("Warnings", told, { wide: true }));
  }
  const provenance = [...pairs(details.provenance), ["digest", details.digest ?? "/"]];
  body.append(definitions("Provenance", provenance, { wide: true, code: true }));
  return body;
}

function identity(row) {
  return [
    ["chip", `${row.vendor} ${row.chip}`], ["stack", row.stack], ["engine", row.engine],
    ["precision", row.arithmetic && row.arithmetic !== row.precision ? `${row.precision} (ran ${row.arithmetic})` : row.precision],
    ["batch size", row.batch_size], ["tier", row.tier], ["runner", row.runner], ["status", row.status],
    ["started", row.started_utc], ["file", row.path],
  ];
}

function figuresOf(row, details) {
  const item = data.groups[row.group].item;
  return [
    ["p_infer_core", `${short(row.p_infer_core)} ${item}s/s`],
    ["across processes", row.core_cv === null ? "/" : `± ${(100 * row.core_cv).toFixed(1)} %`],
    ["95 % interval of the median", details.core_interval ? details.core_interval.map(short).join("–") : "/ (fewer than three processes)"],
    ["latency p50", `${short(row.latency_p50_ms)} ms`], ["latency p90", `${short(row.latency_p90_ms)} ms`],
    ["latency p99", `${short(row.latency_p99_ms)} ms`], ["latency max", `${short(row.latency_max_ms)} ms`],
    ["MFU, seeds' convention", details.published_mfu === null ? "/" : `${short(details.published_mfu)} %`],
    ["energy", details.energy_j === null ? "/" : `${short(details.energy_j)} J`],
    ...Object.entries(details.acc_also).map(([name, value]) => [name, short(value)]),
  ];
}

function timesOf(row) {
  return data.shares.names.map((name, place) => [name, `${short(row.shares[place])} s`]);
}
