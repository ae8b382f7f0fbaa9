// The tables: one per group, sorted and filtered together, filled in steps to keep the page responsive.
const FIRST_ROWS = 40;
const STEP_ROWS = 250;
const IDENTITY = [
  (row) => `${row.vendor} ${row.chip}`, (row) => row.engine, (row) => row.precision, (row) => row.batch_size,
];
const FIGURES = ["e2e_time_s", "p_val_whole", "p_val_core", "p_infer_whole", "p_infer_core", "mfu", "acc_infer", "mem_gib"];
const KEYS = [...IDENTITY, ...FIGURES.map((name) => (row) => row[name]), (row) => row.note];
const WIDTHS = [14.6, 8.8, 6.6, 3.4, 6, 6.4, 6.4, 6.8, 7.4, 5.4, 9, 7.4, 11.8];
const CORE = 8;

const view = { column: null, descending: false, shown: rows, rendering: 0 };

function compareBy(column, descending) {
  const key = KEYS[column];
  return (left, right) => {
    const [a, b] = [key(left), key(right)];
    const missing = (value) => value === null || value === "";
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
    return descending ? -order : order;
  };
}

function renderTables() {
  const holder = document.getElementById("tables");
  const focused = document.activeElement?.dataset?.sort;
  const waiting = [];
  holder.replaceChildren();
  data.groups.forEach((group, index) => {
    const members = view.shown.filter((row) => row.group === index);
    if (members.length) holder.append(groupSection(group, index, members, waiting));
  });
  if (!view.shown.length) {
    holder.append(element("p", { class: "hint" }, t(rows.length ? "No row matches the filters." : "No result to show; the notices above say what is left out.")));
  }
  if (focused) holder.querySelector(`[data-sort="${focused}"]`)?.focus();
  view.rendering += 1;
  fillOn(waiting, view.rendering);
}

function groupSection(group, index, members, waiting) {
  const sorted = view.column === null ? members : [...members].sort(compareBy(view.column, view.descending));
  const body = element("tbody", {}, ...sorted.slice(0, FIRST_ROWS).map(tableRow));
  for (let start = FIRST_ROWS; start < sorted.length; start += STEP_ROWS) {
    waiting.push([body, sorted.slice(start, start + STEP_ROWS)]);
  }
  return element("section", { class: "group", "aria-label": group.title },
    element("h3", {}, `${group.title} `, element("span", { class: "hint" }, t(members.length === 1 ? "{count} row" : "{count} rows", { count: thousands(members.length) }))),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("Table: {title}", group) },
      element("table", { class: "results" }, columnWidths(), tableHead(group, index), body)),
    ...(group.tokens ? [element("h4", {}, t("token by token")), simpleTable(group.tokens.headers, group.tokens.rows, 3)] : []),
    ...(group.scenarios ? [element("h4", {}, t("load scenarios")), simpleTable(group.scenarios.headers, group.scenarios.rows, 3)] : []));
}

// Appends the remaining rows, yielding to the user's events between steps.
function fillOn(waiting, rendering) {
  if (rendering !== view.rendering) return;
  const next = waiting.shift();
  document.documentElement.dataset.filled = String(next === undefined);
  if (next === undefined) return;
  next[0].append(...next[1].map(tableRow));
  setTimeout(() => fillOn(waiting, rendering));
}

function columnWidths() {
  return element("colgroup", {}, ...WIDTHS.map((width) => element("col", { style: `width:${width}%` })));
}

function tableHead(group, index) {
  const cells = data.headers.map((header, column) => {
    const sorted = view.column === column ? (view.descending ? "descending" : "ascending") : null;
    const [unit, meaning] = data.headings[column];
    const shown = header === "acc" ? group.accuracy : header;
    const button = element("button", { type: "button", "data-sort": `${index}-${column}`, on: { click: () => sortBy(column) } }, ...breakable(shown));
    return element("th", { scope: "col", "aria-sort": sorted, class: column < 3 || column > 11 ? "text" : null, title: meaning },
      button, element("span", { class: "unit" }, column === 10 ? group.metric : unit.replace("{item}", t(group.item))));
  });
  return element("thead", {}, element("tr", {}, ...cells));
}

function sortBy(column) {
  // The first click sorts figures descending, names and batch sizes ascending.
  const first = column > 3 && column < 12;
  view.descending = view.column === column ? !view.descending : first;
  view.column = column;
  renderTables();
}

function tableRow(row) {
  const toggle = element("button", { type: "button", class: "open", "aria-expanded": "false", title: t("{chip}: provenance", { chip: `${row.vendor} ${row.chip}` }) },
    `${row.vendor} ${row.chip}`);
  const origin = [row.started_utc.slice(0, 10), row.host, row.runner, row.stack].filter(Boolean).join(" · ");
  const key = `${row.figures[CORE - 4]} ${rateOf(data.groups[row.group].item)} · ${row.engine} ${row.precision} bs${row.batch_size}`;
  const line = element("tr", { class: row.struck ? "row struck" : "row", "data-row": row.index },
    element("td", { class: "text" }, toggle, element("span", { class: "key" }, key), element("span", { class: "origin", title: origin }, origin)),
    element("td", { class: "text", title: row.stack }, row.engine),
    element("td", { class: "text", title: row.arithmetic && t("ran {arithmetic}", row) }, row.precision),
    element("td", {}, String(row.batch_size)),
    ...row.figures.map((cell, place) => element("td", {
      class: cell === "/" ? null : (place + 4 === CORE ? "figure core" : "figure"), title: cell.endsWith("!") ? row.marks : null,
    }, cell)),
    element("td", { class: "text note" }, row.note));
  // The whole row opens its details, unless text in it is being selected.
  line.addEventListener("click", () => { if (!String(getSelection())) toggleDetail(line, toggle, row); });
  return line;
}

async function toggleDetail(line, toggle, row) {
  const isOpen = toggle.getAttribute("aria-expanded") === "true";
  toggle.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) {
    line.nextElementSibling.remove();
    return;
  }
  const cell = element("td", { colspan: String(data.headers.length) });
  line.after(element("tr", { class: "detail" }, cell));
  cell.append(await detailBody(row));
}

function applyFilters() {
  const value = (id) => document.getElementById(id).value;
  const [wantedCase, vendor, precision] = [value("filter-case"), value("filter-vendor"), value("filter-precision")];
  const words = value("filter-text").toLowerCase().split(/\s+/).filter(Boolean);
  view.shown = rows.filter((row) => (!wantedCase || row.case === wantedCase)
    && (!vendor || row.vendor === vendor) && (!precision || row.precision === precision)
    && words.every((word) => row.searched.includes(word)));
  document.getElementById("shown").textContent = t("{shown} of {count} rows", { shown: thousands(view.shown.length), count: thousands(rows.length) });
}
