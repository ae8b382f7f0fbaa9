// The rows: columns with repeated text written once, unpacked to one object a row.
const data = JSON.parse(document.getElementById("data").textContent);
const rows = unpack(data);

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
    row.note = [row.marks, row.struck].filter(Boolean).join("; ");
    row.label = `${row.chip} ${row.engine} ${row.precision} bs${row.batch_size}`;
    row.searched = [row.case, row.vendor, row.label, row.stack, row.tier, row.runner, row.note, row.started_utc, row.path]
      .join(" ").toLowerCase();
    unpacked.push(row);
  }
  return unpacked;
}

// An element with attributes and children; text is always text, never markup.
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

function counts(row) {
  return !row.struck && !(row.marks || "").includes("edited");
}
