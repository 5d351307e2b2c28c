// One chart of all lanes. uPlot has the axes, the grid and the scales; the lines, their names at the
// end and what is under the pointer are drawn here, because each lane has steps of its own.
import { colours } from "./colours.js";
import { short } from "./dom.js";

// Distances of the numbers on the x axis: whole ones, and parts of a second.
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
for (let k = 100; k < 1e9; k *= 10) STEPS.push(k, 2 * k, 5 * k);

const pen = document.createElement("canvas").getContext("2d"); // measures text

function namesFont(c, ratio) {
  return `600 ${Math.round(c.size * 0.86) * ratio}px ${c.font}`;
}

export class Chart {
  // what: "loss" or "accuracy". format(value) -> text. log: logarithmic from the start
  constructor(root, { what, format, log = false }) {
    this.root = root;
    this.what = what;
    this.format = format;
    this.log = log;
    this.lanes = []; // {look, name, x: [...], y: [...], status}
    this.unit = "";
    this.pointer = null;
    this.strong = null; // the lane that is set off
    this.make();
    new ResizeObserver(() => this.resize()).observe(root);
  }

  make() {
    const c = colours();
    const size = c.size;
    const font = `${Math.round(size * 0.8)}px ${c.font}`;
    const axis = {
      stroke: () => c.soft,
      grid: { stroke: () => c.line, width: 1 },
      ticks: { show: false },
      font,
      labelFont: font,
    };
    this.plot?.destroy();
    const { width, height } = this.size();
    const edge = (u, low, high) => [low, high];
    this.margin = this.room(width);
    this.plot = new uPlot(
      {
        width,
        height,
        padding: [size * 0.7, this.margin, 0, 0],
        legend: { show: false },
        cursor: { show: true, x: false, y: false, points: { show: false }, drag: { x: false } },
        scales: {
          x: { time: false, range: edge },
          y: { range: edge, distr: this.log ? 3 : 1 },
        },
        axes: [
          { ...axis, size: size * 1.7, gap: 6, space: size * 4, incrs: () => STEPS.filter((step) => step >= 1 || this.unit === "seconds"), values: (u, at) => at.map(count) },
          {
            ...axis,
            ...(this.log ? { splits: (u, k, low, high) => decades(low, high) } : {}),
            size: size * 2.9,
            gap: 8,
            space: size * 2,
            values: (u, at) => at.map((v) => (v === null ? "" : this.format(v, true))),
          },
        ],
        series: [{}, { paths: () => null, points: { show: false } }],
        hooks: {
          draw: [(u) => this.draw(u)],
          setCursor: [(u) => this.point(u)],
        },
      },
      this.table(),
      this.root,
    );
  }

  size() {
    const box = this.root.getBoundingClientRect();
    return { width: Math.max(160, box.width), height: Math.max(110, box.height) };
  }

  resize() {
    const { width, height } = this.size();
    if (width === this.plot.width && height === this.plot.height) return;
    if (this.room(width) !== this.margin) this.make();
    else this.plot.setSize({ width, height });
  }

  // Room at the right for the lanes' names.
  room(width) {
    const c = colours();
    pen.font = namesFont(c, 1);
    const longest = Math.max(0, ...this.lanes.map((lane) => pen.measureText(lane.name).width));
    return Math.round(Math.min(Math.max(longest + 26, c.size * 7), width * 0.34, c.size * 14));
  }

  setLog(on) {
    this.log = on;
    this.make();
  }

  // The smallest and largest of what is drawn, as uPlot's data.
  table() {
    let right = 0;
    let low = Infinity;
    let high = -Infinity;
    for (const lane of this.lanes) {
      const n = lane.x.length;
      if (n) right = Math.max(right, lane.x[n - 1]);
      for (const value of lane.y) {
        if (value === null || value === undefined || (this.log && value <= 0)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const [from, to] = this.limits(low, high);
    return [
      [0, right || 100],
      [from, to],
    ];
  }

  limits(low, high) {
    if (this.what === "accuracy") return [0, 1];
    if (!(low <= high)) return this.log ? [0.1, 10] : [0, 2.5];
    // A lane that runs away does not flatten the others: see `ceiling`.
    if (this.log) return [low / 1.25, Math.max(Math.min(high * 1.25, 100 * this.ceiling()), low * 2)];
    return [0, Math.min(high, this.ceiling()) * 1.04 || 1];
  }

  // Where the scale of the loss ends: above twice the largest first value lines leave the picture.
  ceiling() {
    let first = 0;
    for (const lane of this.lanes) {
      const value = lane.y.find((y) => y !== null && y !== undefined);
      if (value !== undefined) first = Math.max(first, value);
    }
    return Math.max(2 * Math.min(first, 10), 0.5);
  }

  set(lanes, unit) {
    const before = this.lanes;
    this.lanes = lanes;
    this.unit = unit;
    const renamed = lanes.some((lane, k) => lane.name !== before[k]?.name);
    if ((renamed || lanes.length !== before.length) && this.room(this.size().width) !== this.margin) {
      this.make();
    } else {
      this.plot.setData(this.table());
    }
  }

  // ------------------------------------------------------------ drawing
  draw(u) {
    const c = colours();
    const ctx = u.ctx;
    const ratio = devicePixelRatio;
    const { left, top, width, height } = u.bbox;
    const ends = [];
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top - 3 * ratio, width + 3 * ratio, height + 6 * ratio);
    ctx.clip();
    ctx.lineJoin = "round";
    ctx.lineCap = "butt";
    // The strong lane comes last, above the others.
    const order = this.lanes.map((_, k) => k);
    if (this.strong !== null) order.sort((a, b) => (a === this.strong) - (b === this.strong));
    for (const k of order) {
      const lane = this.lanes[k];
      const weak = this.strong !== null && this.strong !== k;
      ctx.globalAlpha = weak ? 0.3 : 1;
      ctx.strokeStyle = c.lanes[lane.look];
      ctx.lineWidth = (this.strong === k ? 4 : 2.6) * ratio;
      ctx.setLineDash(c.dashes[lane.look].map((length) => length * ratio));
      const end = this.line(u, ctx, lane);
      if (end) ends.push({ ...end, lane, weak });
    }
    ctx.restore();
    ctx.save();
    this.names(u, ctx, c, ends);
    ctx.restore();
  }

  line(u, ctx, lane) {
    const { x, y } = lane;
    const n = Math.min(x.length, y.length);
    const { left, width, top, height } = u.bbox;
    const [x0, x1] = [u.scales.x.min, u.scales.x.max];
    const toX = (value) => left + ((value - x0) / (x1 - x0)) * width;
    const log = this.log;
    const of = log ? Math.log : (value) => value;
    const [y0, y1] = [of(u.scales.y.min), of(u.scales.y.max)];
    const toY = (value) => top + height - ((of(value) - y0) / (y1 - y0)) * height;
    let end = null;
    let pen = false;
    ctx.beginPath();
    for (let k = 0; k < n; k++) {
      const value = y[k];
      if (value === null || value === undefined || (log && value <= 0)) {
        pen = false;
        continue;
      }
      const px = toX(x[k]);
      const py = Math.max(top - 50, Math.min(top + height + 50, toY(value)));
      if (pen) ctx.lineTo(px, py);
      else ctx.moveTo(px, py);
      pen = true;
      end = { x: px, y: Math.max(top, Math.min(top + height, py)), value, above: py < top - 2 };
    }
    ctx.stroke();
    return end;
  }

  // The lanes' names where their lines end, moved apart.
  names(u, ctx, c, ends) {
    const ratio = devicePixelRatio;
    const { left, top, width, height } = u.bbox;
    // Smaller where there is no room for all.
    const size = Math.min(Math.round(c.size * 0.86) * ratio, height / ends.length / 1.1);
    const space = size * (ends.length * size * 1.22 > height ? 1.1 : 1.22);
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    ctx.globalAlpha = 1;
    this.caption(u, ctx, c);
    ctx.font = `600 ${size}px ${c.font}`;
    ends.sort((a, b) => a.y - b.y);
    apart(ends, space, top + space / 2, top + height - space / 2);
    const right = left + width;
    for (const end of ends) {
      const colour = c.lanes[end.lane.look];
      ctx.globalAlpha = end.weak ? 0.4 : 1;
      ctx.fillStyle = colour;
      ctx.strokeStyle = colour;
      // A lane that has stopped ends with a cross, others with a dot.
      const mark = 4.2 * ratio;
      ctx.lineWidth = 2.4 * ratio;
      ctx.beginPath();
      if (end.lane.status === "diverged") {
        ctx.moveTo(end.x - mark, end.y - mark);
        ctx.lineTo(end.x + mark, end.y + mark);
        ctx.moveTo(end.x + mark, end.y - mark);
        ctx.lineTo(end.x - mark, end.y + mark);
        ctx.stroke();
      } else if (end.above) {
        // It has left the picture at the top.
        ctx.moveTo(end.x, top - mark);
        ctx.lineTo(end.x + mark * 1.2, top + mark);
        ctx.lineTo(end.x - mark * 1.2, top + mark);
        ctx.fill();
      } else {
        ctx.arc(end.x, end.y, mark, 0, 7);
        ctx.fill();
      }
      const from = right + 14 * ratio;
      // No line from a lane that stopped long ago: it would look like its course.
      if (end.x > right - 60 * ratio) {
        ctx.lineWidth = 1.2 * ratio;
        ctx.globalAlpha *= 0.6;
        ctx.beginPath();
        ctx.moveTo(Math.min(end.x + 6 * ratio, right + 4 * ratio), end.y);
        ctx.lineTo(from - 2 * ratio, end.at);
        ctx.stroke();
        ctx.globalAlpha = end.weak ? 0.4 : 1;
      }
      ctx.fillStyle = c.inks[end.lane.look];
      ctx.fillText(fitted(ctx, end.lane.name, this.margin * ratio - 18 * ratio), from + 2, end.at);
    }
  }

  // What the x axis counts, at its end.
  caption(u, ctx, c) {
    const { left, top, width, height } = u.bbox;
    ctx.font = `${Math.round(c.size * 0.8) * devicePixelRatio}px ${c.font}`;
    ctx.fillStyle = c.soft;
    const below = (6 + c.size * 0.45) * devicePixelRatio; // the middle of the ticks' numbers
    // The last number on the axis may reach beyond its end.
    const last = ctx.measureText(count(u.scales.x.max)).width / 2 + 8 * devicePixelRatio;
    const after = Math.max(16 * devicePixelRatio, last);
    ctx.fillText(this.unit, left + width + after, top + height + below);
  }

  // ------------------------------------------------------------ the pointer
  point(u) {
    const { left, top } = u.cursor;
    const inside = left >= 0 && top >= 0;
    this.onpoint?.(inside ? u.posToVal(left, "x") : null, inside ? { left, top } : null);
  }
}

// Move names apart, as little as needed: those that would overlap become a stack around their middle.
function apart(ends, space, low, high) {
  const stacks = [];
  for (const end of ends) {
    stacks.push({ ends: [end], middle: end.y });
    while (stacks.length > 1) {
      const [above, below] = stacks.slice(-2);
      const gap = below.middle - above.middle - (space * (above.ends.length + below.ends.length)) / 2;
      if (gap >= 0) break;
      stacks.splice(-2, 2, within([...above.ends, ...below.ends]));
    }
    stacks.push(within(stacks.pop().ends));
  }
  for (const stack of stacks) {
    stack.ends.forEach((end, k) => {
      end.at = stack.middle + (k - (stack.ends.length - 1) / 2) * space;
    });
  }

  function within(of) {
    const half = ((of.length - 1) * space) / 2;
    const mean = of.reduce((sum, end) => sum + end.y, 0) / of.length;
    return { ends: of, middle: Math.max(low + half, Math.min(high - half, mean)) };
  }
}

// A name that fits. "forward gradient, K = 16" becomes "forward gr…, K = 16": the longest part is cut.
const cut = new Map();
function fitted(ctx, text, width) {
  const key = `${ctx.font}|${width}|${text}`;
  if (cut.has(key)) return cut.get(key);
  const parts = text.split(", ").map((part) => ({ text: part, cut: false }));
  const joined = () => parts.map((part) => part.text + (part.cut ? "…" : "")).join(", ");
  while (ctx.measureText(joined()).width > width) {
    const longest = parts.reduce((a, b) => (b.text.length > a.text.length ? b : a));
    if (longest.text.length < 3) break;
    longest.text = longest.text.slice(0, -1).trimEnd();
    longest.cut = true;
  }
  if (cut.size > 500) cut.clear();
  cut.set(key, joined());
  return joined();
}

// Numbers of a logarithmic axis: 0.1, 1, 10; with 2 and 5 between them where there is room.
function decades(low, high) {
  const many = Math.log10(high / low);
  const between = many > 3 ? [1] : many > 1.2 ? [1, 3] : [1, 2, 3, 5, 7];
  const found = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); k++) {
    for (const of of between) {
      const value = Number((of * 10 ** k).toPrecision(3));
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

// 1500 is 1500, 25000 is 25 k.
function count(value) {
  if (value === null) return "";
  if (Math.abs(value) >= 1e6) return `${short(value / 1e6)} M`;
  if (Math.abs(value) >= 1e4) return `${short(value / 1e3)} k`;
  return short(value, 4);
}
