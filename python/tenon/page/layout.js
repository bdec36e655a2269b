// A layered drawing: edges go down, layers are ordered by the mean place of their neighbours, and boxes stand as near to that as
// their widths allow.
const BOX_WIDTH = 168, BOX_HEIGHT = 40, GAP_X = 22, GAP_Y = 46, MAX_ROW = 48, SWEEPS = 8;
const COLUMN_GAP = 120, SHAPE = 0.6;  // a drawing that is too tall is folded into columns, to about this height per width

// Returns {x, y} (centres), the numbers of rows and columns, and the size of it all.
function layered(count, edges) {
  const {up, down} = withoutCycles(count, edges);
  const rows = splitRows(assignLayers(count, up, down));
  const row = new Int32Array(count), x = new Float64Array(count), y = new Float64Array(count);
  rows.forEach((members, r) => members.forEach((box) => { row[box] = r; }));
  place(rows, x);
  for (let sweep = 0; sweep < SWEEPS; ++sweep) {
    const order = sweep % 2 ? [...rows].reverse() : rows;
    const neighbours = sweep % 2 ? down : up;
    for (const members of order) {
      const wanted = new Map(members.map((box) => [box, mean(neighbours[box], x, x[box])]));
      if (sweep < SWEEPS - 2) members.sort((a, b) => wanted.get(a) - wanted.get(b));
      settle(members, wanted, x);
    }
  }
  const column = fold(rows, x, y);
  placeAlone(count, up, down, rows, x, y, row);
  return {...normalized(x, y), row, column: (box) => column[row[box]] || 0};
}

// Edges as lists of neighbours above and below; an edge that closes a cycle is turned round.
function withoutCycles(count, edges) {
  const out = Array.from({length: count}, () => []);
  const incoming = new Int32Array(count);
  for (const [from, to] of edges) {
    out[from].push(to);
    incoming[to]++;
  }
  const up = Array.from({length: count}, () => []), down = Array.from({length: count}, () => []);
  const state = new Uint8Array(count), next = new Int32Array(count);  // 0 new, 1 on the path, 2 done
  const starts = [...Array(count).keys()].sort((a, b) => Math.sign(incoming[a]) - Math.sign(incoming[b]));
  for (const start of starts) {
    if (state[start]) continue;
    const stack = [start];
    state[start] = 1;
    while (stack.length) {
      const box = stack[stack.length - 1];
      if (next[box] === out[box].length) {
        state[box] = 2;
        stack.pop();
        continue;
      }
      const to = out[box][next[box]++];
      const [upper, lower] = state[to] === 1 ? [to, box] : [box, to];
      down[upper].push(lower);
      up[lower].push(upper);
      if (!state[to]) {
        state[to] = 1;
        stack.push(to);
      }
    }
  }
  return {up, down};
}

// The layers of all boxes that have an edge: as high as their inputs allow, except chains from sources, which stay near their use.
function assignLayers(count, up, down) {
  const layer = new Int32Array(count), waiting = up.map((list) => list.length), order = [];
  for (let box = 0; box < count; ++box) if (!waiting[box]) order.push(box);
  for (let i = 0; i < order.length; ++i) {
    for (const to of down[order[i]]) {
      layer[to] = Math.max(layer[to], layer[order[i]] + 1);
      if (--waiting[to] === 0) order.push(to);
    }
  }
  const chain = new Uint8Array(count);
  for (const box of order) chain[box] = up[box].length === 0 || (up[box].length === 1 && chain[up[box][0]]) ? 1 : 0;
  for (const box of order.reverse()) {
    if (!chain[box] || !down[box].length) continue;
    let lowest = Infinity;
    for (const to of down[box]) lowest = Math.min(lowest, layer[to] - 1);
    layer[box] = lowest;
  }
  const layers = [];
  for (let box = 0; box < count; ++box) {
    if (!up[box].length && !down[box].length) continue;
    while (layers.length <= layer[box]) layers.push([]);
    layers[layer[box]].push(box);
  }
  return layers.filter((members) => members.length);
}

// A layer that is too wide to be read becomes several rows.
function splitRows(layers) {
  const rows = [];
  for (const members of layers) {
    const parts = Math.ceil(members.length / MAX_ROW), size = Math.ceil(members.length / parts);
    for (let i = 0; i < members.length; i += size) rows.push(members.slice(i, i + size));
  }
  return rows;
}

function place(rows, x) {
  for (const members of rows) members.forEach((box, i) => { x[box] = (i - (members.length - 1) / 2) * (BOX_WIDTH + GAP_X); });
}

function mean(list, x, otherwise) {
  if (!list.length) return otherwise;
  let sum = 0;
  for (const box of list) sum += x[box];
  return sum / list.length;
}

// Sets the places of one row, in its order and without overlap, with the least sum of squares from the wanted ones (pool adjacent
// violators).
function settle(members, wanted, x) {
  const pools = [];  // {sum, count}
  members.forEach((box, i) => {
    let pool = {sum: wanted.get(box) - i * (BOX_WIDTH + GAP_X), count: 1};
    while (pools.length && pools[pools.length - 1].sum / pools[pools.length - 1].count > pool.sum / pool.count) {
      const last = pools.pop();
      pool = {sum: last.sum + pool.sum, count: last.count + pool.count};
    }
    pools.push(pool);
  });
  let i = 0;
  for (const pool of pools) {
    for (let k = 0; k < pool.count; ++k, ++i) x[members[i]] = pool.sum / pool.count + i * (BOX_WIDTH + GAP_X);
  }
}

// Sets the heights, row by row, and moves the rows into columns. Returns each row's column.
function fold(rows, x, y) {
  const pitch = BOX_HEIGHT + GAP_Y, [left, right] = extent(rows, x);
  const width = right - left + BOX_WIDTH + COLUMN_GAP;
  const columns = Math.max(1, Math.round(Math.sqrt(rows.length * pitch / (SHAPE * width))));
  const size = Math.ceil(rows.length / columns), column = [];
  let start = 0, shift = 0, number = 0;
  while (start < rows.length) {
    const end = narrowRow(rows, start + size, Math.floor(size / 6)), part = rows.slice(start, end), [from, to] = extent(part, x);
    part.forEach((members, r) => members.forEach((box) => {
      x[box] += shift - from;
      y[box] = r * pitch;
    }));
    for (let r = start; r < end; ++r) column[r] = number;
    shift += to - from + BOX_WIDTH + COLUMN_GAP;
    start = end;
    ++number;
  }
  return column;
}

// Where to end a column: at a row near the wished one with few boxes.
function narrowRow(rows, wished, reach) {
  if (wished + reach >= rows.length) return rows.length;
  let best = wished;
  for (let r = wished - reach; r <= wished + reach; ++r) if (rows[r].length < rows[best].length) best = r;
  return Math.max(best, 1);
}

function extent(rows, x) {
  let left = Infinity, right = -Infinity;
  for (const members of rows) {
    for (const box of members) {
      left = Math.min(left, x[box]);
      right = Math.max(right, x[box]);
    }
  }
  return left <= right ? [left, right] : [0, 0];
}

// Boxes without edges stand in a block below the others.
function placeAlone(count, up, down, rows, x, y, row) {
  const alone = [];
  for (let box = 0; box < count; ++box) if (!up[box].length && !down[box].length) alone.push(box);
  const [left, right] = extent(rows, x);
  let top = 0;
  for (const members of rows) for (const box of members) top = Math.max(top, y[box] + BOX_HEIGHT + GAP_Y);
  const pitch = BOX_WIDTH + GAP_X;
  const wide = Math.max(Math.ceil(Math.sqrt(alone.length / 3)), Math.floor((right - left) / pitch) + 1);
  const columns = Math.max(1, Math.min(alone.length, wide));
  const start = (left + right) / 2 - (columns - 1) * pitch / 2;
  alone.forEach((box, i) => {
    row[box] = rows.length + Math.floor(i / columns);
    x[box] = start + (i % columns) * pitch;
    y[box] = top + Math.floor(i / columns) * (BOX_HEIGHT + GAP_X);
  });
}

function normalized(x, y) {
  let left = Infinity, right = -Infinity, bottom = 0;
  for (let i = 0; i < x.length; ++i) {
    left = Math.min(left, x[i]);
    right = Math.max(right, x[i]);
    bottom = Math.max(bottom, y[i]);
  }
  if (!x.length) left = right = 0;
  for (let i = 0; i < x.length; ++i) {
    x[i] += BOX_WIDTH / 2 - left;
    y[i] += BOX_HEIGHT / 2;
  }
  return {x, y, width: right - left + BOX_WIDTH, height: bottom + BOX_HEIGHT};
}
