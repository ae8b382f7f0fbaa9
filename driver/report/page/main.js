// The page put together: theme, filters, summary, published figures, problems.
function fillSelect(id, values, all) {
  const options = values.map((value) => element("option", { value }, value));
  document.getElementById(id).replaceChildren(...(all ? [element("option", { value: "" }, all)] : []), ...options);
}

function different(name) {
  return [...new Set(rows.map((row) => row[name]))].sort();
}

function renderSummary() {
  const lines = data.groups.map((group, index) => {
    const members = rows.filter((row) => row.group === index);
    const [top] = best(members.filter(counts), 1);
    const failed = members.filter((row) => row.struck).length;
    return [
      group.title, String(members.length), String(failed || "/"),
      top ? `${top.vendor} ${top.chip} ${top.engine} ${top.precision} bs${top.batch_size}` : "/", top ? top.figures[CORE - 4] : "/",
    ];
  });
  if (!lines.length) return;
  document.getElementById("summary").append(element("h3", {}, "Fastest of each table"),
    simpleTable(["table", "rows", "struck out", "fastest", "*p_infer_core"], lines, 1, "summary-table"));
  for (const cell of document.querySelectorAll(".summary-table tr > :nth-child(4)")) cell.classList.add("text");
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
    row.case, row.label, short(row.p_infer_core), figure.name, short(figure.p_infer_core),
    figure.chips === null ? "not said" : String(figure.chips), figure.chips === 1 ? (row.p_infer_core / figure.p_infer_core).toFixed(2) : "/",
  ]);
  if (!lines.length) {
    holder.append(element("p", { class: "hint" }, data.published.length
      ? "No row has the case, chip, precision and batch size of a published one. make published shows all published tables."
      : "No case here has published figures."));
    return;
  }
  holder.append(element("p", { class: "hint" }, "Published rows state neither clock nor model file: compare with caveats (make compare B=published). No ratio where a published figure counts several chips."),
    simpleTable(["case", "ours", "*p_infer_core", "published", "printed", "chips", "ours ÷ published"], lines, 2, "published-table"));
  for (const cell of holder.querySelectorAll("tr > :nth-child(4)")) cell.classList.add("text");
}

function renderProblems() {
  const holder = document.getElementById("problems-body");
  if (!data.problems.length) {
    holder.append(element("p", { class: "hint" }, "Every file that was found could be used."));
    return;
  }
  if (data.problem_count > data.problems.length) {
    holder.append(element("p", { class: "notice" }, `${data.problem_count} problems; the first ${data.problems.length} stand here, all in problems.csv.`));
  }
  holder.append(simpleTable(["kind", "file", "what", "what to do"], data.problems, 4, "plain problems-table"));
}

// The table with the most rows: the one whose charts say most.
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

  fillSelect("filter-case", different("case"), "all");
  fillSelect("filter-vendor", different("vendor"), "all");
  fillSelect("filter-precision", different("precision"), "all");
  const groups = document.getElementById("chart-group");
  groups.append(...data.groups.map((group, index) => element("option", { value: String(index) }, group.title)));
  groups.value = String(largestGroup());
  groups.addEventListener("change", renderCharts);

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
