// One chart of all lanes. uPlot has the axes, the grid and the scales; the lines, their names at the
// end and what is under the pointer are drawn here, because each lane has steps of its own.
import { drawNames, namesFont } from "./chart-names.js";
import { colours } from "./colours.js";
import { short } from "./dom.js";

// Distances of the numbers on the x axis: whole ones, and parts of a second.
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
for (let k = 100; k < 1e9; k *= 10) STEPS.push(k, 2 * k, 5 * k);

const pen = document.createElement("canvas").getContext("2d"); // measures text

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
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    this.caption(u, ctx, c);
    drawNames(ctx, c, ends, u.bbox, this.margin);
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
