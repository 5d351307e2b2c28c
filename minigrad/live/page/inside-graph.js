// The drawn network: boxes with numbers, weights as lines, what is computed now in colour.
import { arc, chip } from "./inside-marks.js";
import { planeOf } from "./inside-plane.js";
import { curve, draw } from "./inside-svg.js";
import { classOf, MARKERS } from "./paint.js";

// kind: "gradient" (the left picture) or "tangent" (the right one).
// on: {weight(key), example(number)}: what a click does
export class Graph {
  constructor(root, kind, on) {
    this.kind = kind;
    this.on = on;
    this.svg = draw("svg", { class: `inside-graph inside-of-${kind}`, role: "img" });
    root.append(this.svg);
  }

  // Draw the network anew, for this room.
  lay(data, plane, width, height) {
    this.data = data;
    this.plane = plane;
    this.cells = new Map();
    this.edges = new Map();
    this.svg.replaceChildren(this.markers());
    width = Math.max(width, this.least());
    this.svg.style.width = `${width}px`;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("aria-label", this.label());
    this.layers = {};
    for (const name of ["edges", "flows", "boxes", "arcs", "labels"]) {
      this.layers[name] = draw("g", { class: `inside-${name}` });
      this.svg.append(this.layers[name]);
    }
    this.place(width, height);
    this.drawEdges();
    if (plane && this.kind === "gradient") this.drawPlane(height);
  }

  label() {
    const sizes = this.data.sizes.slice(1, -1).join(" and ") || "no";
    const what = this.kind === "gradient" ? "slopes that go back" : "speeds that go forward";
    return `The network: ${this.data.sizes[0]} inputs, ${sizes} hidden units, ${this.data.sizes.at(-1)} outputs, the loss. Numbers and ${what}; the list of steps says the same in words.`;
  }

  markers() {
    const defs = draw("defs");
    for (const name of ["value", "gradient", "tangent"]) {
      const tip = draw("path", { d: "M0 0L10 5L0 10z", class: `inside-tip inside-${name}` });
      const given = { id: `inside-${this.kind}-${name}`, viewBox: "0 0 10 10", refX: 8, refY: 5 };
      Object.assign(given, { markerWidth: 4.5, markerHeight: 4.5, orient: "auto-start-reverse" });
      defs.append(draw("marker", given, tip));
    }
    return defs;
  }

  // The width below which numbers could not be read.
  least() {
    const { sizes, twice } = this.data;
    const hidden = sizes.length - 2;
    return 84 + (hidden * 2 + (twice ? 3 : 2)) * 38 + (hidden + 1) * 36;
  }

  place(width, height) {
    const { sizes, twice, classes } = this.data;
    const top = sizes.length - 1;
    const kinds = [["x"]];
    for (let l = 1; l < top; l++) kinds.push([`z${l}`, `h${l}`]);
    kinds.push(twice ? [`z${top}`, "s", "p"] : [`z${top}`, "p"], ["L"]);
    const most = Math.max(...sizes);
    const strips = kinds.length - 2;
    const count = kinds.flat().length;
    const head = Math.max(34, height * 0.1);
    const rowHeight = (height - head - 6) / Math.max(most, 3);
    let strip = Math.max(17, Math.min(28, width / 36));
    const share = kinds.length > 4 ? 0.28 : 0.34;
    const gap = Math.max(30, Math.min(150, (width * share) / (kinds.length - 1)));
    const room = width - 8 - strips * strip - (kinds.length - 1) * gap;
    const cell = Math.min(112, room / count);
    const boxHeight = Math.min(rowHeight - 6, cell * 0.92, 78);
    const letter = Math.min(cell / 4.5, boxHeight / 2.5, 28);
    Object.assign(this, { cell, boxHeight, letter, strip });
    this.svg.style.setProperty("--letter", `${letter}px`);
    const used = count * cell + strips * strip;
    const space = (width - 8 - used) / (kinds.length - 1);
    let x = 4;
    kinds.forEach((names, c) => {
      const inner = c > 0 && c < kinds.length - 1;
      const units = c === kinds.length - 1 ? 1 : sizes[c];
      const wide = names.length * cell + (inner ? strip : 0);
      names.forEach((name, n) => {
        const middle = x + (inner ? strip : 0) + (n + 0.5) * cell;
        this.heading(name, middle, head);
      });
      const span = c === 0 && this.plane ? height * 0.6 : height - 6;
      const high = Math.min(rowHeight * 1.7, (span - head) / units);
      const middle = head + (span - head) / 2;
      for (let u = 0; u < units; u++) {
        const y = middle + (u - (units - 1) / 2) * high;
        this.box(names, c, u, x, y, inner, classes);
      }
      if (c === 0) this.planeRoom = { x, y: head + (span - head), width: wide + space * 0.55 };
      x += wide + space;
    });
  }

  heading(name, x, head) {
    const letters = { x: "x", z: "z", h: "h", s: "s", p: "p", L: "L" };
    const words = { x: "input", z: "sum", h: "output", s: "share", p: "share", L: "loss" };
    const layer = name.slice(1);
    const size = Math.max(15, Math.min(this.letter * 1.1, 24));
    const said = draw("text", { x, y: head - size * 0.95, class: "inside-head" });
    said.style.fontSize = `${size}px`;
    said.append(draw("tspan", { class: "inside-italic" }, letters[name[0]]));
    if (layer) {
      said.append(draw("tspan", { dy: -size * 0.32, "font-size": size * 0.62 }, `(${layer})`));
    }
    const under = draw("text", { x, y: head - size * 0.2, class: "inside-under-head" }, words[name[0]]);
    under.style.fontSize = `${Math.max(11, size * 0.66)}px`;
    this.layers.boxes.append(said, under);
  }

  box(names, column, unit, x, y, strip, classes) {
    const { cell, boxHeight: high, letter } = this;
    const left = x + (strip ? this.strip : 0);
    const group = draw("g", { class: "inside-box" });
    const whole = names.length * cell + (strip ? this.strip : 0);
    group.append(draw("rect", { x, y: y - high / 2, width: whole, height: high, rx: 7, class: "inside-back" }));
    if (strip) {
      const key = `b${column}.${unit + 1}`;
      const stripe = draw("g", { class: "inside-strip" });
      const face = { x, y: y - high / 2, width: this.strip, height: high, rx: 7 };
      stripe.append(draw("rect", { ...face, class: "inside-strip-back" }));
      const said = draw("text", { x: x + this.strip / 2, y: y + letter * 0.3, class: "inside-number" });
      said.append(String(unit + 1));
      stripe.append(said);
      if (this.data.bias) {
        stripe.append(draw("title", {}, `bias ${this.data.names[key]}: click to compare its gradients`));
        stripe.classList.add("inside-clickable");
        stripe.onclick = () => this.on.weight(key);
        this.edges.set(key, { group: stripe, bias: true });
      }
      group.append(stripe);
    }
    names.forEach((name, n) => {
      const key = name === "L" ? "L" : `${name}.${unit + 1}`;
      const at = { x: left + n * cell, y: y - high / 2, width: cell, height: high, rx: 6 };
      const face = draw("rect", { ...at, class: "inside-cell" });
      const middle = left + (n + 0.5) * cell;
      const value = draw("text", { x: middle, y: y - high * 0.08, class: "inside-text inside-value" });
      const second = draw("text", {
        x: middle,
        y: y + high * 0.36,
        class: `inside-text inside-${this.kind}`,
      });
      const title = draw("title");
      group.append(draw("g", {}, face, value, second, title));
      const border = { left: n === 0 ? x : left + n * cell, right: left + (n + 1) * cell, y };
      this.cells.set(key, { face, value, second, title, border, middle, high });
    });
    if (names.includes("p")) {
      const key = `p.${unit + 1}`;
      const said = draw("text", { x: left + whole - (strip ? this.strip : 0), y: y + high / 2 + letter * 0.85, class: "inside-class" });
      said.append(`${MARKERS[classOf(unit).marker]} class ${classes[unit]}`);
      if (high + letter < 2 * high) this.layers.boxes.append(said);
      this.cells.get(key).class = said;
    }
    this.layers.boxes.append(group);
  }

  drawEdges() {
    const weights = Object.keys(this.data.numbers.value).filter((key) => key[0] === "W");
    const largest = Math.max(...weights.map((key) => Math.abs(this.data.numbers.value[key])), 1e-9);
    for (const key of weights) {
      const [layer, from, to] = key.slice(1).split(".").map(Number);
      const start = this.cells.get(layer === 1 ? `x.${from}` : `h${layer - 1}.${from}`).border;
      const end = this.cells.get(`z${layer}.${to}`).border;
      const path = curve(start.right, start.y, end.left, end.y);
      const value = this.data.numbers.value[key];
      const group = draw("g", { class: "inside-edge inside-clickable" });
      const width = 1 + 4 * Math.sqrt(Math.abs(value) / largest);
      const back = draw("path", { d: path, class: "inside-learned" });
      const thin = draw("path", { d: path, class: "inside-weight", "stroke-width": width });
      if (value < 0) thin.setAttribute("stroke-dasharray", "6 5");
      const hit = draw("path", { d: path, class: "inside-hit" });
      const title = draw("title", {}, `weight ${this.data.names[key]} = ${this.data.texts.value[key]}: click to compare its gradients`);
      group.append(back, thin, hit, title);
      group.onclick = () => this.on.weight(key);
      this.layers.edges.append(group);
      this.edges.set(key, { group, back, path, start, end });
    }
    for (let c = 1; c <= this.data.sizes.at(-1); c++) {
      const start = this.cells.get(`p.${c}`).border;
      const end = this.cells.get("L").border;
      const path = curve(start.right, start.y, end.left, end.y);
      const group = draw("g", { class: "inside-edge" });
      group.append(draw("path", { d: path, class: "inside-weight inside-plain" }));
      this.layers.edges.append(group);
      this.edges.set(`p.${c}>L`, { group, path });
    }
  }

  drawPlane(height) {
    const room = { ...this.planeRoom, height };
    const group = planeOf(this.plane, this.data.x, room, this.svg, this.on.example);
    if (group) this.layers.boxes.append(group);
  }

  // Show the numbers that are known after step `at`, and colour what step `at` computes.
  show(steps, at, chosen) {
    const side = this.kind === "gradient" ? "left" : "right";
    const known = new Set();
    for (let n = 0; n <= at; n++) {
      for (const [kind, key] of steps[n][side].shows) known.add(`${kind} ${key}`);
    }
    const { texts, numbers } = this.data;
    for (const [key, cell] of this.cells) {
      const value = known.has(`value ${key}`) ? texts.value[key] : "";
      const second = known.has(`${this.kind} ${key}`) ? texts[this.kind][key] : "";
      cell.value.textContent = value;
      cell.second.textContent = second;
      const what = this.kind === "gradient" ? "slope of the loss" : "speed";
      cell.title.textContent = [
        value && `${this.data.names[key]} = ${numbers.value[key]}`,
        second && `${what}: ${numbers[this.kind][key]}`,
      ]
        .filter(Boolean)
        .join("\n");
      cell.face.setAttribute("class", "inside-cell");
    }
    const sizes = Object.entries(numbers[this.kind]).filter(([key]) => key[0] === "W");
    const largest = Math.max(...sizes.map(([, value]) => Math.abs(value)), 1e-12);
    for (const [key, edge] of this.edges) {
      const learned = numbers[this.kind][key];
      const shown = this.kind === "tangent" ? learned : known.has(`gradient ${key}`) && learned;
      if (edge.back) {
        const share = shown ? Math.sqrt(Math.abs(shown) / largest) : 0;
        edge.back.setAttribute("stroke-width", share ? 3 + 9 * share : 0);
      }
      edge.group.classList.toggle("inside-known", Boolean(shown));
      edge.group.classList.toggle("inside-chosen", key === chosen);
      edge.group.classList.remove("inside-now");
    }
    this.highlight(steps[at], at === 0 ? null : steps[at - 1]);
  }

  highlight(step) {
    const { flows, arcs, labels } = this.layers;
    flows.replaceChildren();
    arcs.replaceChildren();
    labels.replaceChildren();
    const back = step.phase === "backward";
    const quiet = back && this.kind === "tangent";
    this.svg.classList.toggle("inside-quiet", quiet);
    this.svg.dataset.phase = step.phase;
    if (quiet) return;
    const colour = back ? "gradient" : this.kind === "tangent" ? "tangent" : "value";
    for (const key of step.nodes) this.cells.get(key)?.face.classList.add("inside-new", `inside-${colour}`);
    for (const key of step.sources) this.cells.get(key)?.face.classList.add("inside-from", `inside-${colour}`);
    const weights = step.edges.filter((key) => key[0] === "W").map((key) => key.slice(1).split("."));
    const apart = (n) => new Set(weights.map((key) => key[n])).size > 1;
    const end = apart(1) ? "start" : apart(2) ? "end" : "";
    const joins = step.phase === "end" ? [] : [...step.edges];
    if (step.nodes[0] === "L") joins.push(...step.sources.map((key) => `${key}>L`));
    if (step.sources.includes("L")) {
      const number = step.nodes[0].split(".")[1];
      joins.push(`p.${number}>L`);
    }
    for (const key of joins) {
      const edge = this.edges.get(key);
      if (!edge) continue;
      edge.group.classList.add("inside-now");
      if (!edge.path) continue;
      const given = { d: edge.path, class: `inside-flow inside-${colour}` };
      const flow = draw("path", given);
      flows.append(flow);
      const learned = step.left.shows.some((shown) => shown[0] === "gradient" && shown[1] === key);
      if (!learned) {
        flow.setAttribute(`marker-${back ? "start" : "end"}`, `url(#inside-${this.kind}-${colour})`);
        const moving = `inside-moving${back ? " inside-back-way" : ""}`;
        flows.append(draw("path", { d: edge.path, class: moving }));
      }
      const own = step.labels[key] ?? this.said(key);
      const text = learned ? this.data.texts.gradient[key] : own;
      if (edge.start) chip(this, edge, text, end, colour, learned);
    }
    for (const [from, to] of step.arcs) arc(this, from, to, colour);
  }

  // What is written on a weight: itself, and where it moves its speed.
  said(key) {
    const value = this.data.texts.value[key];
    const moved = this.kind === "tangent" && this.data.numbers.tangent[key];
    return moved ? `${value} ⇢${this.data.texts.tangent[key]}` : value;
  }
}
