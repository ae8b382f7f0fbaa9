// Assembles the page: theme, filters, summary, published figures, problems.
function fillSelect(id, values, all) {
  const options = values.map((value) => element("option", { value }, value));
  document.getElementById(id).replaceChildren(...(all ? [element("option", { value: "" }, all)] : []), ...options);
}

function different(name) {
  return [...new Set(rows.map((row) => row[name]))].sort();
}

function renderSummary() {
  const lines = data.fastest.map(([group, tier, members, compared, place]) => {
    const top = place === null ? null : rows[place];
    return [
      data.groups[group].title, tier, String(members), String(compared),
      top ? `${top.vendor} ${top.chip} ${top.engine} ${top.precision} bs${top.batch_size}` : "/", top ? top.figures[CORE - 4] : "/",
    ];
  });
  if (!lines.length) return;
  document.getElementById("summary").append(element("h3", {}, t("Fastest of each table")),
    element("p", { class: "hint" }, t("Only among results that may be compared: measured in full, accuracy checked and passed, without a warning that concerns the figure.")),
    simpleTable(["table", "tier", "rows", "may be compared", "fastest", "*p_infer_core"].map((header) => t(header)), lines, 2, "summary-table"));
  for (const cell of document.querySelectorAll(".summary-table tr > :nth-child(5)")) cell.classList.add("text");
}

// Pairs of [row, published figure] of the same case, vendor, chip, precision and batch size.
function publishedPairs(members) {
  return data.published.filter((figure) => figure.p_infer_core !== null).flatMap((figure) => members
    .filter((row) => row.case === figure.case && row.batch_size === figure.batch_size && row.precision === figure.precision
      && row.p_infer_core !== null && row.vendor === figure.vendor && row.chip === figure.known_as)
    .map((row) => [row, figure]));
}

function renderPublished() {
  const holder = document.getElementById("published-body");
  const lines = publishedPairs(newestRows(rows)).map(([row, figure]) => [
    row.case, row.label, row.figures[CORE - 4], figure.name, short(figure.p_infer_core),
    figure.chips === null ? t("not stated") : String(figure.chips),
    figure.chips === 1 ? (row.p_infer_core / figure.p_infer_core).toFixed(2) + (isMarked(row, "p_infer_core") ? " !" : "") : "/",
  ]);
  if (!lines.length) {
    holder.append(element("p", { class: "hint" }, data.published.length
      ? t("No row has the same case, chip, precision and batch size as a published one. make published shows all published tables.")
      : t("None of these cases has published figures.")));
    return;
  }
  holder.append(element("p", { class: "hint" }, t("Published rows state neither the clock nor the model file, so they compare only with caveats (make compare B=published). There is no ratio where a published figure counts several chips.")),
    simpleTable(["case", "ours", "*p_infer_core", "published by", "published figure", "chips", "ours ÷ published"].map((header) => t(header)), lines, 2, "stacked published-table"));
  for (const cell of holder.querySelectorAll("tr > :nth-child(4)")) cell.classList.add("text");
}

function renderCards() {
  const { headers, rows: spreads } = data.cards;
  document.getElementById("cards").hidden = !spreads.length;
  document.getElementById("cards-link").hidden = !spreads.length;
  if (spreads.length) document.getElementById("cards-body").append(simpleTable(headers.map((header) => t(header)), spreads, headers.length, "plain stacked cards-table"));
}

function renderFailed() {
  const { headers, rows: runs } = data.failed;
  document.getElementById("failed").hidden = !runs.length;
  document.getElementById("failed-link").hidden = !runs.length;
  if (runs.length) document.getElementById("failed-body").append(simpleTable(headers.map((header) => t(header)), runs, headers.length, "plain stacked failed-table"));
}

function renderProblems() {
  const holder = document.getElementById("problems-body");
  if (!data.problems.length) {
    holder.append(element("p", { class: "hint" }, t("Every result that was found is usable.")));
    return;
  }
  if (data.problem_count > data.problems.length) {
    holder.append(element("p", { class: "notice" }, t("{count} problems; the first {shown} are shown here, problems.csv has all of them.", { count: data.problem_count, shown: data.problems.length })));
  }
  holder.append(simpleTable(["kind", "file", "problem", "what to do"].map((header) => t(header)), data.problems, 4, "plain stacked problems-table"));
}

// The table with the most rows, whose charts show most.
function largestGroup() {
  const sizes = data.groups.map((_, index) => rows.filter((row) => row.group === index).length);
  return sizes.indexOf(Math.max(...sizes));
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  renderCharts();
}

function later(task, milliseconds = 120) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(task, milliseconds);
  };
}

function resizeCharts() {
  for (const chart of drawn.values()) chart.resize();
}

function start() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = system.matches ? "dark" : "light";
  system.addEventListener("change", () => setTheme(system.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));

  fillSelect("filter-case", different("case"), t("all"));
  fillSelect("filter-vendor", different("vendor"), t("all"));
  fillSelect("filter-precision", different("precision"), t("all"));
  const groups = document.getElementById("chart-group");
  groups.append(...data.groups.map((group, index) => element("option", { value: String(index) }, group.title)));
  groups.value = String(largestGroup());
  groups.addEventListener("change", () => {
    fillSizes();
    renderCharts();
  });
  document.getElementById("chart-size").addEventListener("change", renderCharts);
  document.getElementById("chart-trend-by").addEventListener("change", renderCharts);
  fillSizes();

  const filtered = () => {
    applyFilters();
    renderTables();
    renderCharts();
  };
  const form = document.getElementById("filters");
  form.addEventListener("input", later(filtered));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filtered));
  addEventListener("resize", later(resizeCharts));
  printInLight();

  applyFilters();
  renderSummary();
  renderTables();
  renderPublished();
  renderCards();
  renderFailed();
  renderProblems();
  requestAnimationFrame(() => setTimeout(renderCharts));
}

function printInLight() {
  let before = null;
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    if (before === "dark") setTheme("light");
    resizeCharts();
  });
  addEventListener("afterprint", () => {
    if (before === "dark") setTheme("dark");
    resizeCharts();
  });
}

start();
