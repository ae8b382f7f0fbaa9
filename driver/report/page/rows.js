// The rows: stored as columns with each repeated text written once, unpacked to one object per row.
const data = JSON.parse(document.getElementById("data").textContent);
const rows = unpack(data);

// Our own text in the report's language; data.words has the Chinese of every text, or nothing.
function t(text, values = {}) {
  return (data.words[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// A count as the notices and the figures of the head have it: 2,723.
function thousands(count) {
  return count.toLocaleString("en");
}

// The unit of a throughput: "images/s", in Chinese "图像/s".
function rateOf(item) {
  return data.words[item] ? `${t(item)}/s` : `${item}s/s`;
}

function unpack({ rows: count, columns, shares }) {
  const textAt = ({ values, which }, index) => (which[index] < 0 ? null : values[which[index]]);
  const names = Object.keys(columns).filter((name) => name !== "cells");
  const unpacked = [];
  for (let index = 0; index < count; index += 1) {
    const row = { index };
    for (const name of names) {
      const column = columns[name];
      row[name] = Array.isArray(column) ? column[index] : textAt(column, index);
    }
    row.figures = columns.cells.map((column) => textAt(column, index));
    row.shares = shares.values[index];
    row.case = data.groups[row.group].case;
    row.marked = (row.marked || "").split("; ");
    row.note = [row.marks, row.struck].filter(Boolean).join("; ");
    row.label = `${row.chip} ${row.engine} ${row.precision} bs${row.batch_size}`;
    row.searched = [row.case, row.vendor, row.label, row.stack, row.tier, row.runner, row.note, row.host, row.started_utc, row.path]
      .join(" ").toLowerCase();
    unpacked.push(row);
  }
  return unpacked;
}

// Makes an element with attributes and children; text is inserted as text, never as markup.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function short(value) {
  if (value === null || value === undefined) return "/";
  return Math.abs(value) >= 10 ? value.toFixed(1) : String(Number(value.toPrecision(3)));
}

// A text that may break after each underscore.
function breakable(text) {
  return text.split(/(?<=_)/).flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part]));
}

// Whether a warning concerns one of these figures of a row.
function isMarked(row, ...figures) {
  return figures.some((figure) => row.marked.includes(figure));
}

// What a tooltip says of figures that a warning concerns.
function markOf(row, ...figures) {
  return isMarked(row, ...figures) ? `\n! ${row.marks}` : "";
}

// A figure as text, followed by "!" if a warning concerns it.
function withMark(row, figure, text) {
  return isMarked(row, figure) && text !== "/" ? `${text} !` : text;
}

function counts(row) {
  return !row.struck && !row.edited;
}
