// The two curves of the race: loss and accuracy, over steps, forward passes or seconds.
import { Chart } from "./chart.js";
import { byId, element, sample, short } from "./dom.js";
import { DASHES } from "./colours.js";
import { Lanes, percent } from "./lanes.js";

const UNITS = [
  { name: "step", title: "steps", about: "Steps of training: each lane has had as many batches." },
  {
    name: "cost",
    title: "forward passes",
    about: "What a lane's steps cost: their products of matrices, in those of a forward pass.",
  },
  { name: "seconds", title: "seconds", about: "Time that a lane's steps took on this machine." },
];

export class Curves {
  constructor(context) {
    this.context = context;
    this.unit = UNITS[0];
    this.log = false;
    this.charts = [
      new Chart(byId("chart-loss"), { what: "loss", format: (v) => short(v) }),
      new Chart(byId("chart-accuracy"), {
        what: "accuracy",
        format: (v, tick) => (tick ? `${Math.round(100 * v)} %` : percent(v)),
      }),
    ];
    this.charts.forEach((chart) => {
      chart.onpoint = (x, at) => this.point(chart, x, at);
      chart.reading = element("div", { class: "reading", hidden: true });
      chart.root.append(chart.reading);
    });
    for (const unit of UNITS) {
      const input = element("input", { type: "radio", name: "unit", value: unit.name });
      input.checked = unit === this.unit;
      input.onchange = () => this.choose(unit);
      byId("units").append(element("label", { title: unit.about }, input, unit.title));
    }
    byId("log").onchange = (event) => this.setLog(event.target.checked);
  }

  choose(unit) {
    this.unit = unit;
    for (const input of byId("units").querySelectorAll("input")) {
      input.checked = input.value === unit.name;
    }
    this.frame(this.context.state);
  }

  nextUnit() {
    this.choose(UNITS[(UNITS.indexOf(this.unit) + 1) % UNITS.length]);
  }

  setLog(on) {
    this.log = on;
    byId("log").checked = on;
    this.charts[0].setLog(on);
    this.frame(this.context.state);
  }

  toggleLog() {
    this.setLog(!this.log);
  }

  race(state) {
    this.frame(state);
  }

  frame(state) {
    for (const chart of this.charts) chart.set(this.lines(state, chart.what), this.unit.title);
    this.describe(state);
    document.body.classList.toggle("at-start", state.step === 0 && !state.playing);
  }

  // The curves in words, for screen readers: now and then, and when the race pauses.
  describe(state) {
    const now = performance.now();
    if (state.playing && now - (this.described || 0) < 3000) return;
    this.described = now;
    for (const chart of this.charts) {
      const values = state.lanes.map((lane) => {
        const value = lane.points[chart.what].at(-1);
        return `${Lanes.title(lane)} ${value === undefined ? "nothing yet" : chart.format(value)}`;
      });
      const text = `The ${chart.what} after ${state.step} steps: ${values.join(", ")}`;
      chart.root.setAttribute("aria-label", text);
      chart.root.setAttribute("role", "img");
    }
  }

  lines(state, what) {
    return state.lanes.map((lane) => ({
      look: lane.look,
      name: Lanes.title(lane),
      status: lane.status,
      x: this.x(lane),
      y: what === "loss" ? evened(lane.points.step, lane.points.loss) : lane.points[what],
    }));
  }

  x(lane) {
    if (this.unit.name === "seconds") return lane.points.seconds;
    if (this.unit.name === "step") return lane.points.step;
    if (!lane.cost) return []; // the rule does not say what a step costs
    const { work, step } = lane.points; // K may have been another one before
    return work?.length === step.length ? work : step.map((n) => n * lane.cost);
  }

  // The values under the pointer.
  point(chart, x, at) {
    const box = chart.reading;
    box.hidden = x === null || !chart.lanes.length;
    if (box.hidden) return;
    const rows = chart.lanes
      .map((lane) => ({ lane, k: nearest(lane.x, x) }))
      .filter(({ lane, k }) => k >= 0 && lane.y[k] !== null && lane.y[k] !== undefined)
      .map(({ lane, k }) => ({ lane, value: lane.y[k] }))
      .sort((a, b) => b.value - a.value)
      .map(({ lane, value }) => {
        const name = element("span", {}, sample(DASHES[lane.look], 24), ` ${lane.name}`);
        const row = element("div", { class: "lane-of" }, name, element("b", {}, chart.format(value)));
        row.dataset.look = lane.look;
        return row;
      });
    box.replaceChildren(element("p", {}, `${this.where(x)} ${this.unit.title}`), ...rows);
    const right = at.left > chart.plot.over.clientWidth / 2;
    box.classList.toggle("left", right);
    const inner = chart.plot.over;
    box.style.left = right ? "" : `${inner.offsetLeft + at.left + 14}px`;
    box.style.right = right
      ? `${chart.root.clientWidth - inner.offsetLeft - at.left + 14}px`
      : "";
  }

  where(x) {
    return this.unit.name === "seconds" ? short(x) : Math.round(x).toLocaleString("en");
  }

  // Set one lane off from the others.
  strong(k) {
    for (const chart of this.charts) {
      if (chart.strong === k) continue;
      chart.strong = k;
      chart.plot.redraw(false);
    }
  }

  restyle() {
    for (const chart of this.charts) chart.make();
    this.frame(this.context.state);
  }
}

// A point of the loss is the mean of some steps, or of one: points after few steps are ragged. Here each
// is the mean of the last hundredth of all steps, or of the point's own if these are more.
function evened(step, loss) {
  const width = (step.at(-1) || 0) / 100;
  const found = new Array(loss.length);
  let first = 0;
  let sum = 0;
  let count = 0;
  const weight = (k) => step[k] - (k ? step[k - 1] : 0);
  for (let k = 0; k < loss.length; k++) {
    found[k] = loss[k];
    if (loss[k] === null) {
      first = k + 1;
      sum = count = 0;
      continue;
    }
    sum += weight(k) * loss[k];
    count += weight(k);
    while (first < k && step[first] <= step[k] - width) {
      sum -= weight(first) * loss[first];
      count -= weight(first);
      first++;
    }
    if (first < k && count > 0) found[k] = sum / count;
  }
  return found;
}

// The place of the value nearest to x in a list that grows.
function nearest(list, x) {
  let low = 0;
  let high = list.length - 1;
  if (high < 0) return -1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] < x) low = middle;
    else high = middle;
  }
  return Math.abs(list[low] - x) <= Math.abs(list[high] - x) ? low : high;
}
