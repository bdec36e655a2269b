// The drawing: a canvas with zoom and pan. Nothing is drawn that cannot be seen, and no text that cannot be read.
const HUES = [212, 150, 268, 186, 322, 95, 238, 120];  // of engines, in turn
const NATIVE_HUE = 28;
const HOME_SCALE = 0.8;
const READABLE = 0.4;  // scale below which boxes have no text
const canvas = document.getElementById("canvas"), context = canvas.getContext("2d");
const view = {scale: 1, x: 0, y: 0};  // the world's point at the canvas' top left corner, and pixels per unit
const graph = {
  tree: null, groups: new Map(), open: new Set(), boxes: [], boxOf: null, edges: [], place: null, mode: "engine", constants: false,
};
let matching = null;    // Uint8Array per node while there is a search
let selection = null;   // {node} or {group: key}
let onSelect = () => {};
let drawPending = false;
let colours = readColours();

function readColours() {
  const style = getComputedStyle(document.documentElement), get = (name) => style.getPropertyValue(name).trim();
  return {back: get("--back"), text: get("--text"), soft: get("--soft"), edge: get("--edge"), accent: get("--accent"),
    neutral: get("--neutral"), neutralBorder: get("--neutral-border"), saturation: get("--saturation"),
    lightness: get("--lightness"), border: get("--border-lightness")};
}

function hueColours(hue) {
  const colour = (lightness) => `hsl(${hue} ${colours.saturation} ${lightness})`;
  return {fill: colour(colours.lightness), border: colour(colours.border)};
}

function engineColours(engine) { return hueColours(HUES[engine % HUES.length]); }
function nativeColours() { return hueColours(NATIVE_HUE); }
function neutralColours() { return {fill: colours.neutral, border: colours.neutralBorder}; }

function nodeColours(node) {
  if (node.engine >= 0) return engineColours(node.engine);
  return node.reason ? nativeColours() : neutralColours();
}

function boxColours(box) {
  if (box.node) return nodeColours(box.node);
  const {counts, reasoned} = box.group;
  if (counts.size === 1) {
    const engine = counts.keys().next().value;
    if (engine >= 0) return engineColours(engine);
    return reasoned ? nativeColours() : neutralColours();
  }
  return neutralColours();
}

function isNativeBox(box) { return box.node ? box.node.engine < 0 : box.group.counts.size === 1 && box.group.counts.has(-1); }

// Makes the tree again (another grouping), or only the boxes (groups opened or closed).
function rebuildTree() {
  graph.tree = buildTree(graph.mode, nodes.filter((node) => graph.constants || !isConstant(node)));
  graph.groups = new Map(allGroups(graph.tree).map((group) => [group.key, group]));
  graph.open = openAtFirst(graph.tree);
  rebuildBoxes();
}

function rebuildBoxes() {
  const {boxes, boxOf, edges} = visibleBoxes(graph.tree, graph.open);
  Object.assign(graph, {boxes, boxOf, edges, place: layered(boxes.length, edges)});
  markMatches();
  requestDraw();
}

function allGroups(group, list = []) {
  for (const child of group.groups.values()) {
    list.push(child);
    allGroups(child, list);
  }
  return list;
}

function setOpen(keys) {
  graph.open = new Set(keys);
  rebuildBoxes();
}

function openGroup(group) {
  graph.open.add(group.key);
  rebuildBoxes();
  select({group: group.key});
  centre(graph.boxOf[group.members[0]], true);
}

function closeGroup(key) {
  graph.open.delete(key);
  rebuildBoxes();
  const box = graph.boxes.findIndex((one) => one.group && one.group.key === key);
  if (box >= 0) {
    select({group: key});
    centre(box, true);
  }
}

// The groups around a box, outermost first.
function groupsAround(parent) {
  const around = [];
  for (let group = parent; group && group.parent; group = group.parent) around.unshift(group);
  return around;
}

// Opens what hides a node, and returns its box.
function reveal(node) {
  if (isConstant(node) && !graph.constants) {
    graph.constants = true;
    document.getElementById("constants").checked = true;
    const open = graph.open;
    rebuildTree();
    graph.open = open;
    rebuildBoxes();
  }
  let box = graph.boxes[graph.boxOf[node.id]];
  while (box.group) {
    graph.open.add(box.group.key);
    rebuildBoxes();
    box = graph.boxes[graph.boxOf[node.id]];
  }
  return graph.boxOf[node.id];
}

function selectedBox() {
  if (!selection) return -1;
  if (selection.node) return graph.boxOf[selection.node.id];
  return graph.boxes.findIndex((box) => box.group && box.group.key === selection.group);
}

function select(what) {
  selection = what;
  onSelect();
  requestDraw();
}

function showNode(node) {
  const box = reveal(node);
  select({node});
  centre(box, true);
}

function markMatches() {
  for (const box of graph.boxes) {
    box.matches = 0;
    if (!matching) continue;
    if (box.node) box.matches = matching[box.node.id];
    else for (const id of box.group.members) box.matches += matching[id];
  }
}

function setMatching(found) {
  matching = found;
  markMatches();
  requestDraw();
}

// --- the view ---

function size() { return [canvas.clientWidth || 1, canvas.clientHeight || 1]; }

function zoom(factor, px, py) {
  const scale = Math.min(4, Math.max(0.004, view.scale * factor));
  view.x += px / view.scale - px / scale;
  view.y += py / view.scale - py / scale;
  view.scale = scale;
  requestDraw();
}

function pan(dx, dy) {
  view.x -= dx / view.scale;
  view.y -= dy / view.scale;
  requestDraw();
}

function fit() {
  const [width, height] = size(), {width: w, height: h} = graph.place;
  view.scale = Math.min(1.2, (width - 30) / w, (height - 30) / h);
  view.x = w / 2 - width / 2 / view.scale;
  view.y = h / 2 - height / 2 / view.scale;
  requestDraw();
}

// All of the drawing where it can be read so, else its beginning.
function home() {
  fit();
  if (view.scale >= HOME_SCALE || !graph.boxes.length) return;
  const {x, y} = graph.place;
  let first = 0;
  for (let i = 1; i < graph.boxes.length; ++i) if (y[i] < y[first] || (y[i] === y[first] && x[i] < x[first])) first = i;
  view.scale = HOME_SCALE;
  const [width, height] = size(), margin = 20 / HOME_SCALE;
  const limit = (wanted, room, whole) => {
    if (whole + 2 * margin < room) return (whole - room) / 2;
    return Math.max(-margin, Math.min(wanted, whole + margin - room));
  };
  view.x = limit(x[first] - width / 2 / HOME_SCALE, width / HOME_SCALE, graph.place.width);
  view.y = limit(-margin, height / HOME_SCALE, graph.place.height);
  requestDraw();
}

function centre(box, readable) {
  const [width, height] = size();
  if (readable) view.scale = Math.max(view.scale, 0.8);
  view.x = graph.place.x[box] - width / 2 / view.scale;
  view.y = graph.place.y[box] - height / 2 / view.scale;
  requestDraw();
}

function boxAt(px, py) {
  const x = px / view.scale + view.x, y = py / view.scale + view.y;
  for (let i = 0; i < graph.boxes.length; ++i) {
    if (Math.abs(graph.place.x[i] - x) <= BOX_WIDTH / 2 && Math.abs(graph.place.y[i] - y) <= BOX_HEIGHT / 2) return i;
  }
  return -1;
}

// --- drawing ---

function requestDraw() {
  if (drawPending) return;
  drawPending = true;
  requestAnimationFrame(() => {
    drawPending = false;
    draw();
  });
}

function draw() {
  const [width, height] = size(), ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = colours.back;
  context.fillRect(0, 0, width, height);
  context.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, -view.x * view.scale * ratio, -view.y * view.scale * ratio);
  const seen = {left: view.x, top: view.y, right: view.x + width / view.scale, bottom: view.y + height / view.scale};
  const chosen = selectedBox();
  drawEdges(seen, chosen);
  for (let i = 0; i < graph.boxes.length; ++i) {
    const x = graph.place.x[i] - BOX_WIDTH / 2, y = graph.place.y[i] - BOX_HEIGHT / 2;
    if (x > seen.right || x + BOX_WIDTH < seen.left || y > seen.bottom || y + BOX_HEIGHT < seen.top) continue;
    drawBox(graph.boxes[i], x, y, i === chosen);
  }
}

function edgePath(from, to) {
  const {x, y, row, column} = graph.place, span = row[to] - row[from];
  if (column(from) !== column(to)) {
    const side = column(from) < column(to) ? BOX_WIDTH / 2 : -BOX_WIDTH / 2;
    context.moveTo(x[from] + side, y[from]);
    context.bezierCurveTo(x[from] + 1.7 * side, y[from], x[to] - 1.7 * side, y[to], x[to] - side, y[to]);
    return;
  }
  const x1 = x[from], y1 = y[from] + BOX_HEIGHT / 2, x2 = x[to], y2 = y[to] - BOX_HEIGHT / 2;
  const reach = Math.max(24, Math.min(160, Math.abs(y2 - y1) / 2));
  // A long edge to a box straight below goes round what stands between.
  const round = Math.abs(span) > 1 && Math.abs(x2 - x1) < BOX_WIDTH;
  const aside = round ? (x2 < x1 ? -1 : 1) * (BOX_WIDTH * 0.8 + 6 * Math.min(12, Math.abs(span))) : 0;
  context.moveTo(x1, y1);
  context.bezierCurveTo(x1 + aside, y1 + reach, x2 + aside, y2 - reach, x2, y2);
}

function drawEdges(seen, chosen) {
  const {x, y} = graph.place, special = [];
  context.lineWidth = Math.min(1.2, 1.2 / view.scale);
  context.strokeStyle = colours.edge;
  context.globalAlpha = matching ? 0.35 : 0.9;
  context.beginPath();
  for (const edge of graph.edges) {
    const [from, to] = edge;
    if (from === chosen || to === chosen) {
      special.push(edge);
      continue;
    }
    const margin = 2 * BOX_WIDTH;
    if (Math.min(x[from], x[to]) - margin > seen.right || Math.max(x[from], x[to]) + margin < seen.left ||
        Math.min(y[from], y[to]) - margin > seen.bottom || Math.max(y[from], y[to]) + margin < seen.top) continue;
    edgePath(from, to);
  }
  context.stroke();
  context.globalAlpha = 1;
  context.strokeStyle = colours.accent;
  context.lineWidth = 2.2 / Math.min(1, view.scale);
  context.beginPath();
  for (const [from, to] of special) edgePath(from, to);
  context.stroke();
}

function drawBox(box, x, y, chosen) {
  const {fill, border} = boxColours(box), text = view.scale >= READABLE;
  context.globalAlpha = matching && !box.matches ? 0.22 : 1;
  context.fillStyle = view.scale < READABLE / 2 ? border : fill;
  context.strokeStyle = chosen ? colours.accent : border;
  context.lineWidth = chosen ? 4 / Math.min(1, view.scale) : box.group ? 2.2 : 1.3;
  context.setLineDash(!chosen && isNativeBox(box) ? [5, 3] : []);
  if (!text) {
    context.fillRect(x, y, BOX_WIDTH, BOX_HEIGHT);
    if (chosen || view.scale > 0.1) context.strokeRect(x, y, BOX_WIDTH, BOX_HEIGHT);
  } else {
    if (box.group) {
      roundBox(x + 4, y - 4);
      context.fill();
      context.stroke();
    }
    roundBox(x, y);
    context.fill();
    context.stroke();
  }
  context.setLineDash([]);
  if (box.group && box.group.counts.size > 1) drawMix(box.group, x, y);
  if (text) drawText(box, x, y);
  context.globalAlpha = 1;
}

function roundBox(x, y) {
  context.beginPath();
  context.roundRect(x, y, BOX_WIDTH, BOX_HEIGHT, 6);
}

// A closed group of several engines, or of engines and native nodes: its shares along the lower edge.
function drawMix(group, x, y) {
  let left = x + 3;
  const room = BOX_WIDTH - 6;
  const parts = [...group.counts].sort((a, b) => b[0] - a[0]);
  for (const [engine, count] of parts) {
    const width = room * count / group.members.length;
    context.fillStyle = (engine >= 0 ? engineColours(engine) : group.reasoned ? nativeColours() : neutralColours()).border;
    context.fillRect(left, y + BOX_HEIGHT - 6, width, 4);
    left += width;
  }
}

function drawText(box, x, y) {
  const name = box.node ? box.node.name.split("/").slice(box.parent.parent ? -2 : 0).join("/") : box.group.label;
  const ms = box.node ? box.node.ms : box.group.ms;
  const found = box.group && matching ? `${box.matches} of ` : "";
  const what = box.node ? box.node.op : `${found}${box.group.members.length} nodes`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = colours.text;
  context.font = `${box.group ? "600 " : ""}12px system-ui, sans-serif`;
  context.fillText(shortened(name, BOX_WIDTH - 16), x + 8, y + 12);
  context.fillStyle = colours.text;
  context.font = "11px system-ui, sans-serif";
  context.fillText(shortened(ms > 0 ? `${what} · ${formatMs(ms)} ms` : what, BOX_WIDTH - 16), x + 8, y + 26);
}

// The text with its middle left out so that it is no wider than `room`.
function shortened(text, room) {
  let shown = text.length > 80 ? `${text.slice(0, 40)}…${text.slice(-39)}` : text;
  while (shown.length > 4 && context.measureText(shown).width > room) {
    const keep = Math.max(1, Math.floor((shown.length - 3) / 2));
    shown = `${shown.slice(0, keep)}…${shown.slice(-keep)}`;
  }
  return shown;
}

function formatMs(ms) { return ms.toFixed(ms >= 100 ? 1 : ms >= 0.1 || ms === 0 ? 3 : 5); }
