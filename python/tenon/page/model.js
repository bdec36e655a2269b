// The report's data, and the tree of groups that the drawing collapses. Everything from the model is text: it is never made markup.
const data = JSON.parse(document.getElementById("data").textContent);
const MAX_SCOPES = 30;  // a name with more parts than this is grouped by the first ones
const SOURCES = new Set(["Const", "VarHandleOp", "Variable", "VariableV2"]);
const AT_FIRST = 150;   // as many boxes are opened at the start as make no more than this

const engines = data.engines;
const nodes = data.nodes.map(([name, op, engine, reason, inputs], id) => ({
  id, name, op, engine, reason: reason < 0 ? "" : data.reasons[reason], inputs, outputs: [], ms: 0, layers: [], within: null,
  constant: false, text: "",
}));
for (const node of nodes) {
  for (const input of node.inputs) nodes[input].outputs.push(node.id);
  node.text = [node.name, node.op, engineName(node.engine), node.reason].join("\n").toLowerCase();
}
const layers = data.layers.map(([node, op, kernel, shape, ms, engine, merged], order) => ({
  order: order + 1, node, op, kernel, shape, ms, engine, merged,
  text: [node < 0 ? "" : nodes[node].name, op, kernel, shape, engine, ...merged].join("\n").toLowerCase(),
}));
const totalMs = layers.reduce((sum, layer) => sum + layer.ms, 0);
assignTimes();
markConstants();

function engineName(engine) { return engine < 0 ? "" : engines[engine].name; }

// Times belong to the nodes that they were measured under; nodes merged into such a step point at it.
function assignTimes() {
  const byName = new Map();
  for (const node of nodes) {
    if (!byName.has(node.name)) byName.set(node.name, []);
    byName.get(node.name).push(node);
  }
  for (const layer of layers) {
    if (layer.node < 0) continue;
    const owner = nodes[layer.node];
    owner.ms += layer.ms;
    owner.layers.push(layer);
    for (const name of layer.merged) {
      const named = byName.get(name) || [];
      const part = named.find((node) => node.engine === owner.engine) || named[0];
      if (part && part !== owner) part.within = owner;
    }
  }
}

// Weights, and what is computed from them alone, are hidden unless asked for.
function markConstants() {
  const waiting = nodes.map((node) => new Set(node.inputs).size);
  const ready = nodes.filter((node) => !node.inputs.length && SOURCES.has(node.op)).map((node) => node.id);
  while (ready.length) {
    const node = nodes[ready.pop()];
    if (node.reason || node.layers.length) continue;
    node.constant = true;
    for (const output of new Set(node.outputs)) if (--waiting[output] === 0) ready.push(output);
  }
}

function isConstant(node) { return node.constant; }

function makeGroup(key, label, engine, parent) {
  return {key, label, engine, parent, groups: new Map(), leaves: [], members: [], counts: new Map(), reasoned: 0, ms: 0};
}

// The tree of groups of the shown nodes: by "engine" (and name scopes inside), "scope", or "flat".
function buildTree(mode, shown) {
  const root = makeGroup("", "", -1, null);
  for (const node of shown) {
    let group = root;
    for (const [part, engine] of path(mode, node)) {
      const key = `${group.key}\n${engine >= 0 ? "engine " : ""}${part}`;
      if (!group.groups.has(key)) group.groups.set(key, makeGroup(key, part, engine, group));
      group = group.groups.get(key);
    }
    group.leaves.push(node.id);
  }
  simplify(root);
  summarize(root);
  return root;
}

function path(mode, node) {
  if (mode === "flat") return [];
  const scopes = node.name.split("/").slice(0, -1).slice(0, MAX_SCOPES).map((part) => [part, -1]);
  return mode === "engine" && node.engine >= 0 ? [[engineName(node.engine), node.engine], ...scopes] : scopes;
}

// A scope that holds one node becomes that node; one that holds one scope becomes "outer/inner".
function simplify(group) {
  for (const [key, original] of [...group.groups]) {
    let child = original;
    simplify(child);
    while (child.engine < 0 && child.leaves.length === 0 && child.groups.size === 1) {
      const only = child.groups.values().next().value;
      if (only.engine >= 0) break;
      only.label = `${child.label}/${only.label}`;
      child = only;
    }
    child.parent = group;
    if (child.engine < 0 && child.groups.size === 0 && child.leaves.length === 1) {
      group.groups.delete(key);
      group.leaves.push(child.leaves[0]);
    } else {
      group.groups.set(key, child);
    }
  }
}

function summarize(group) {
  group.members = [...group.leaves];
  for (const child of group.groups.values()) {
    summarize(child);
    for (const id of child.members) group.members.push(id);
  }
  for (const id of group.members) {
    const node = nodes[id];
    group.counts.set(node.engine, (group.counts.get(node.engine) || 0) + 1);
    if (node.engine < 0 && node.reason) group.reasoned++;
    group.ms += node.ms;
  }
}

// Keys of the groups to open at first: scopes before engines, outer ones before inner ones, while there is room; an engine only when
// there is room for all of it.
function openAtFirst(root) {
  const open = new Set();
  let boxes = root.groups.size + root.leaves.length;
  const scopes = [], whole = [];
  const enqueue = (group) => { for (const child of group.groups.values()) (child.engine < 0 ? scopes : whole).push(child); };
  enqueue(root);
  while (scopes.length || whole.length) {
    const group = scopes.length ? scopes.shift() : whole.shift();
    const more = (group.engine < 0 ? group.groups.size + group.leaves.length : group.members.length) - 1;
    if (boxes + more > AT_FIRST) continue;
    boxes += more;
    for (const one of group.engine < 0 ? [group] : [group, ...allGroups(group)]) open.add(one.key);
    if (group.engine < 0) enqueue(group);
  }
  return open;
}

// The boxes that are drawn (nodes, and groups that are closed), which box each node is in (-1: none), and the edges between boxes.
function visibleBoxes(root, open) {
  const boxes = [], boxOf = new Int32Array(nodes.length).fill(-1);
  const walk = (group) => {
    for (const child of group.groups.values()) {
      if (open.has(child.key)) {
        walk(child);
      } else {
        for (const id of child.members) boxOf[id] = boxes.length;
        boxes.push({group: child, node: null, parent: group});
      }
    }
    for (const id of group.leaves) {
      boxOf[id] = boxes.length;
      boxes.push({group: null, node: nodes[id], parent: group});
    }
  };
  walk(root);
  const seen = new Set(), edges = [];
  for (const node of nodes) {
    const to = boxOf[node.id];
    if (to < 0) continue;
    for (const input of node.inputs) {
      const from = boxOf[input], key = from * boxes.length + to;
      if (from < 0 || from === to || seen.has(key)) continue;
      seen.add(key);
      edges.push([from, to]);
    }
  }
  return {boxes, boxOf, edges};
}
