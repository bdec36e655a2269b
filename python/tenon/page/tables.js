// Elements, and tables that are filtered and sorted. Text goes in as text only.
const ROWS = 200;  // shown at a time
const SHOWN_NAMES = 8;
const collator = new Intl.Collator("en", {numeric: true});

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function nodeLink(node) {
  return element("button", {type: "button", class: "link", onclick: () => {
    showNode(node);
    canvas.scrollIntoView({block: "center"});
  }}, node.name);
}

// A list of nodes as links, the first ones at once. Those that match the search come first.
function nodeList(ids) {
  const holder = element("span");
  const sorted = matching ? [...ids].sort((a, b) => matching[b] - matching[a]) : ids;
  let shown = 0;
  const more = element("button", {type: "button", onclick: () => show(ROWS)});
  function show(count) {
    const links = sorted.slice(shown, shown + count).flatMap((id) => [nodeLink(nodes[id]), " "]);
    shown = Math.min(sorted.length, shown + count);
    more.remove();
    holder.append(...links);
    if (shown < sorted.length) {
      more.textContent = `${sorted.length - shown} more`;
      holder.append(more);
    }
  }
  show(SHOWN_NAMES);
  return holder;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(String(a), String(b));
}

// columns: {title, value(row), cell(row)?, number?}; the first column is the row's header. rows have a `text` to search in, or
// `matches()`. Returns {section, filter(matchesText)}.
function makeTable(id, title, columns, rows, note = "") {
  let sorted = {column: -1, up: true}, test = () => true, limit = ROWS;
  const body = element("tbody"), caption = element("caption");
  const more = element("button", {type: "button", class: "more", onclick: () => {
    limit += 5 * ROWS;
    show();
  }});
  const heads = columns.map((column, i) => element("th", {scope: "col", class: column.number ? "number" : "", "aria-sort": "none"},
    element("button", {type: "button", onclick: () => sortBy(i)}, column.title)));
  function sortBy(i) {
    sorted = sorted.column === i ? {column: i, up: !sorted.up} : {column: i, up: !columns[i].number};
    heads.forEach((head, k) => {
      head.setAttribute("aria-sort", k === i ? (sorted.up ? "ascending" : "descending") : "none");
      head.firstChild.textContent = columns[k].title + (k === i ? (sorted.up ? " ▲" : " ▼") : "");
    });
    show();
  }
  function show() {
    let chosen = rows.filter(test);
    if (sorted.column >= 0) {
      const value = columns[sorted.column].value, sign = sorted.up ? 1 : -1;
      chosen = chosen.map((row) => [value(row), row]).sort((a, b) => sign * compare(a[0], b[0])).map((pair) => pair[1]);
    }
    body.replaceChildren(...chosen.slice(0, limit).map(makeRow));
    const hidden = chosen.length - Math.min(chosen.length, limit);
    caption.textContent = `${chosen.length} of ${rows.length} rows${hidden ? `, the first ${limit} are shown` : ""}${note}`;
    more.hidden = !hidden;
    more.textContent = "Show more";
  }
  function makeRow(row) {
    const made = element("tr", row.node === undefined ? {} : {"data-node": row.node});
    columns.forEach((column, i) => {
      const content = column.cell ? column.cell(row) : String(column.value(row));
      made.append(element(i ? "td" : "th", {...(i ? {} : {scope: "row"}), class: column.number ? "number" : ""}, content));
    });
    markRow(made);
    return made;
  }
  const heading = element("h2", {id: `${id}-title`}, title);
  const frame = element("div", {class: "frame", tabindex: "0", role: "region", "aria-labelledby": `${id}-title`},
    element("table", {id}, caption, element("thead", {}, element("tr", {}, ...heads)), body), more);
  show();
  return {section: element("section", {}, heading, frame), filter(found) {
    test = found;
    limit = ROWS;
    show();
  }};
}

function markRow(row) {
  const chosen = selection && selection.node && row.dataset.node === String(selection.node.id);
  row.classList.toggle("selected", Boolean(chosen));
}

const milliseconds = (value) => (value ? formatMs(value) : "");
const figure = (value) => (typeof value === "number" ? value : 0);
const sized = (size) => (size === null || size < 0 ? "?" : size);
const shaped = (shape) => (Array.isArray(shape) ? `[${shape.map(sized).join(",")}]` : shape === null ? "?" : String(shape));
const typed = (types, shapes) => Array.from({length: Math.max((types || []).length, (shapes || []).length)},
  (_, i) => `${(types || [])[i] || ""}${(shapes || []).length > i ? shaped(shapes[i]) : ""}`).join(" ");
const counted = (ops) => Object.entries(ops || {}).sort((a, b) => b[1] - a[1]).map(([op, count]) => `${op} ${count}×`).join(", ");

function engineTable() {
  const drawn = engines.map(() => []);
  for (const node of nodes) if (node.engine >= 0) drawn[node.engine].push(node.id);
  const rows = engines.map((engine, id) => {
    const count = typeof engine.nodes === "number" ? engine.nodes : drawn[id].length;
    const ins = typed(engine.input_types, engine.input_shapes), outs = typed(engine.output_types, engine.output_shapes);
    const ms = drawn[id].reduce((sum, node) => sum + nodes[node].ms, 0);
    const text = [engine.name, counted(engine.ops), ins, outs].join("\n").toLowerCase();
    return {id, engine, count, ins, outs, ms, text, members: drawn[id]};
  });
  const columns = [
    {title: "Engine", value: (row) => row.engine.name,
      cell: (row) => element("span", {}, swatch(engineColours(row.id)), row.engine.name)},
    {title: "Nodes", number: true, value: (row) => row.count},
    {title: "Ops", value: (row) => counted(row.engine.ops)}];
  if (rows.some((row) => row.ins || row.outs)) {
    columns.push({title: "Inputs", value: (row) => row.ins}, {title: "Outputs", value: (row) => row.outs});
  }
  const timed = [["native_ms", "Native ms"], ["engine_ms", "Engine ms"]].filter(([key]) => rows.some((row) => row.engine[key]));
  for (const [key, title] of timed) {
    columns.push({title, number: true, value: (row) => figure(row.engine[key]), cell: (row) => milliseconds(row.engine[key])});
  }
  if (layers.length) columns.push({title: "Layers ms", number: true, value: (row) => row.ms, cell: (row) => milliseconds(row.ms)});
  return makeTable("engines", "Engines", columns, rows);
}

function reasonTable() {
  const rows = data.native.map(([op, reason, ids]) => ({op, reason: data.reasons[reason], ids}));
  for (const row of rows) row.text = [row.op, row.reason].join("\n").toLowerCase();
  return makeTable("reasons", "Why nodes are native", [
    {title: "Op", value: (row) => row.op},
    {title: "Count", number: true, value: (row) => row.ids.length},
    {title: "Reason", value: (row) => row.reason},
    {title: "Nodes", value: (row) => (row.ids.length ? nodes[row.ids[0]].name : ""), cell: (row) => nodeList(row.ids)}], rows);
}

function layerTable() {
  const share = (row) => (totalMs ? 100 * row.ms / totalMs : 0);
  return makeTable("layers", "Times of layers", [
    {title: "Node", value: (row) => (row.node < 0 ? "" : nodes[row.node].name),
      cell: (row) => (row.node < 0 ? "–" : nodeLink(nodes[row.node]))},
    {title: "Step", number: true, value: (row) => row.order},
    {title: "ms", number: true, value: (row) => row.ms, cell: (row) => formatMs(row.ms)},
    {title: "Share", number: true, value: share, cell: (row) => `${share(row).toFixed(1)}%`},
    {title: "Op", value: (row) => row.op}, {title: "Kernel", value: (row) => row.kernel},
    {title: "Shape", value: (row) => row.shape}, {title: "Engine", value: (row) => row.engine || "native"}], layers, `; ${formatMs(totalMs)} ms in all`);
}

function nodeTable() {
  const rows = nodes.map((node) => ({node: node.id, text: node.text}));
  const columns = [
    {title: "Node", value: (row) => nodes[row.node].name, cell: (row) => nodeLink(nodes[row.node])},
    {title: "Op", value: (row) => nodes[row.node].op},
    {title: "Engine", value: (row) => engineName(nodes[row.node].engine) || "native"},
    {title: "Reason", value: (row) => nodes[row.node].reason}];
  const ms = (row) => nodes[row.node].ms;
  if (layers.length) columns.push({title: "ms", number: true, value: ms, cell: (row) => milliseconds(ms(row))});
  return makeTable("nodes", "Nodes", columns, rows);
}

function swatch({fill, border}, native = false) {
  const made = element("span", {class: native ? "swatch native" : "swatch", "aria-hidden": "true"});
  made.style.background = fill;
  made.style.borderColor = border;
  return made;
}
