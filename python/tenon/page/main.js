// What the page's controls do.
const [details, search, matches] = ["details", "search", "matches"].map((id) => document.getElementById(id));
const tables = [engineTable(), reasonTable(), ...(layers.length ? [layerTable()] : []), nodeTable()];
let found = [], at = -1;  // nodes that match, and the one that was shown last

// --- summary, legend ---

function fillSummary() {
  const all = data.inside + data.outside, percent = (part, whole) => `${(100 * part / whole).toFixed(1)}%`;
  const share = all ? ` (${percent(data.inside, all)})` : "";
  const parts = [`${engines.length} engine${engines.length === 1 ? "" : "s"}`, `${data.inside} of ${all} nodes in engines${share}`];
  if (data.total_flops) parts.push(`${percent(data.engine_flops || 0, data.total_flops)} of FLOPs`);
  if (data.converted_ms) parts.push(`${formatMs(data.native_ms)} ms natively, ${formatMs(data.converted_ms)} ms converted`);
  if (layers.length) parts.push(`${formatMs(totalMs)} ms in ${layers.length} layers`);
  document.getElementById("summary").textContent = parts.join(" · ");
}

function fillLegend() {
  const most = 12;
  const entries = engines.slice(0, most).map((engine, id) => element("span", {}, swatch(engineColours(id)), engine.name));
  if (engines.length > most) entries.push(element("span", {}, `… and ${engines.length - most} more engines`));
  entries.push(element("span", {}, swatch(nativeColours(), true), "native"),
    element("span", {}, swatch(neutralColours(), true), "constants, inputs, or mixed"));
  document.getElementById("legend").replaceChildren(...entries);
}

function notes() {
  if (!data.notes.length) return [];
  const items = data.notes.map((note) => element("li", {}, note));
  return [element("section", {}, element("h2", {}, "Notes"), element("ul", {}, ...items))];
}

// --- details ---

function list(pairs) {
  return element("dl", {}, ...pairs.filter((pair) => pair[1] !== "").flatMap(([title, content]) =>
    [element("dt", {}, title), element("dd", {}, content)]));
}

function groupActions(around) {
  return element("div", {class: "actions"}, ...around.map((group) =>
    element("button", {type: "button", onclick: () => closeGroup(group.key)}, `Close ${group.label}`)));
}

function timesOf(node) {
  if (node.layers.length) {
    return element("ul", {}, ...node.layers.slice(0, 20).map((layer) => {
      const share = totalMs ? ` (${(100 * layer.ms / totalMs).toFixed(1)}%)` : "";
      return element("li", {}, [`${formatMs(layer.ms)} ms${share}`, layer.kernel, layer.shape].filter(Boolean).join(", "));
    }));
  }
  return node.within ? element("span", {}, "a part of ", nodeLink(node.within)) : "";
}

function nodeDetails(node, parent) {
  const own = node.engine >= 0 ? engineName(node.engine) : "native";
  return [element("h3", {}, node.name), list([
    ["Op", node.op], ["Runs in", element("span", {}, swatch(nodeColours(node), node.engine < 0), own)], ["Reason", node.reason],
    ["Time", timesOf(node)], ["Inputs", node.inputs.length ? nodeList(node.inputs) : ""],
    ["Used by", node.outputs.length ? nodeList([...new Set(node.outputs)]) : ""]]), groupActions(groupsAround(parent))];
}

function groupDetails(group) {
  const ops = {};
  for (const id of group.members) ops[nodes[id].op] = (ops[nodes[id].op] || 0) + 1;
  const where = [...group.counts].sort((a, b) => b[1] - a[1]).slice(0, 10)
    .map(([engine, count]) => `${engine < 0 ? "native" : engineName(engine)}: ${count}`).join(", ");
  const hidden = graph.constants ? "" : ", besides hidden constants and variables";
  const opener = element("button", {type: "button", onclick: () => openGroup(group)}, `Open ${group.label}`);
  const isOpen = graph.open.has(group.key);
  return [element("h3", {}, group.label), list([
    ["Kind", group.engine >= 0 ? "engine" : "name scope"], ["Nodes", `${group.members.length}${hidden}`], ["Runs in", where],
    ["Ops", counted(ops)], ["Time", group.ms ? `${formatMs(group.ms)} ms` : ""]]),
  ...(isOpen ? [] : [element("div", {class: "actions"}, opener)]), groupActions(groupsAround(isOpen ? group : group.parent))];
}

function showDetails() {
  const box = graph.boxes[selectedBox()], group = selection && selection.group && graph.groups.get(selection.group);
  if (group) details.replaceChildren(...groupDetails(group));
  else if (box) details.replaceChildren(...nodeDetails(selection.node, box.parent));
  else details.replaceChildren(element("p", {class: "hint"}, "Click a node to see its op, its engine or reason, and its time."));
  for (const row of document.querySelectorAll("tr[data-node]")) markRow(row);
}
onSelect = showDetails;

// --- search ---

function words() { return search.value.toLowerCase().split(/\s+/).filter(Boolean); }

function runSearch() {
  const wanted = words(), has = (row) => wanted.every((word) => row.text.includes(word));
  at = -1;
  found = [];
  if (!wanted.length) {
    setMatching(null);
    matches.textContent = "";
    for (const table of tables) table.filter(() => true);
    return;
  }
  const marks = new Uint8Array(nodes.length);
  for (const node of nodes) {
    if (!has(node)) continue;
    marks[node.id] = 1;
    found.push(node);
  }
  setMatching(marks);
  matches.textContent = `${found.length} of ${nodes.length} nodes match`;
  const ofNode = (row) => has(row) || (row.ids || row.members || []).some((id) => marks[id]);
  for (const table of tables) table.filter(ofNode);
}

function step(direction) {
  if (searchTimer) searchNow();
  if (!found.length) return;
  at = at < 0 && direction < 0 ? found.length - 1 : (at + direction + found.length) % found.length;
  showNode(found[at]);
  matches.textContent = `match ${at + 1} of ${found.length}: ${found[at].name}`;
}

let searchTimer = 0;
function searchNow() {
  clearTimeout(searchTimer);
  searchTimer = 0;
  runSearch();
}
search.addEventListener("input", () => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(searchNow, 60);
});
document.getElementById("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  step(1);
});
document.getElementById("previous").addEventListener("click", () => step(-1));
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    search.value = "";
    searchNow();
  } else if (event.key === "Enter" && event.shiftKey) {
    event.preventDefault();
    step(-1);
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  search.focus();
  search.select();
});

// --- the drawing's controls ---

function middle() { return [canvas.clientWidth / 2, canvas.clientHeight / 2]; }
function relayout(change) {
  change();
  showDetails();
  home();
}
const tools = {
  mode: ["change", (event) => relayout(() => { graph.mode = event.target.value; rebuildTree(); })],
  constants: ["change", (event) => relayout(() => { graph.constants = event.target.checked; rebuildTree(); })],
  "expand-all": ["click", () => relayout(() => setOpen(allGroups(graph.tree).map((group) => group.key)))],
  "collapse-all": ["click", () => relayout(() => setOpen([]))],
  "zoom-in": ["click", () => zoom(1.3, ...middle())],
  "zoom-out": ["click", () => zoom(1 / 1.3, ...middle())],
  fit: ["click", () => fit()],
};
for (const [id, [kind, act]] of Object.entries(tools)) document.getElementById(id).addEventListener(kind, act);

function choose(px, py) {
  const index = boxAt(px, py), box = graph.boxes[index];
  select(!box ? null : box.node ? {node: box.node} : {group: box.group.key});
  return box;
}

const pointers = new Map();
let moved = 0, spread = 0;
function spreadOf() {
  const [a, b] = [...pointers.values()];
  return Math.hypot(a.x - b.x, a.y - b.y);
}
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, {x: event.offsetX, y: event.offsetY});
  if (pointers.size === 1) moved = 0;
  if (pointers.size === 2) spread = spreadOf();
});
canvas.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  const dx = event.offsetX - last.x, dy = event.offsetY - last.y;
  pointers.set(event.pointerId, {x: event.offsetX, y: event.offsetY});
  moved += Math.abs(dx) + Math.abs(dy);
  if (pointers.size === 1) {
    if (moved > 4) pan(dx, dy);
  } else if (pointers.size === 2) {
    const now = spreadOf(), [a, b] = [...pointers.values()];
    pan(dx / 2, dy / 2);
    if (spread > 0) zoom(now / spread, (a.x + b.x) / 2, (a.y + b.y) / 2);
    spread = now;
  }
});
for (const kind of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(kind, (event) => {
    const single = pointers.size === 1;
    if (pointers.delete(event.pointerId) && kind === "pointerup" && single && moved <= 4) choose(event.offsetX, event.offsetY);
  });
}
canvas.addEventListener("dblclick", (event) => {
  const box = choose(event.offsetX, event.offsetY);
  if (box && box.group) openGroup(box.group);
});
canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), event.offsetX, event.offsetY);
}, {passive: false});
const keys = {
  ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
  "+": () => zoom(1.3, ...middle()), "=": () => zoom(1.3, ...middle()), "-": () => zoom(1 / 1.3, ...middle()), 0: () => fit(),
  Enter: () => {
    const box = graph.boxes[selectedBox()];
    if (box && box.group) openGroup(box.group);
  },
  Escape: () => select(null),
};
canvas.addEventListener("keydown", (event) => {
  if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  keys[event.key]();
});

// --- start ---

new ResizeObserver(requestDraw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = readColours();
  fillLegend();
  showDetails();
  runSearch();
  requestDraw();
});
fillSummary();
fillLegend();
document.getElementById("tables").append(...notes(), ...tables.map((table) => table.section));
rebuildTree();
showDetails();
home();
