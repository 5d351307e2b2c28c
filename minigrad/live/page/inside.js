// Look inside one step: one example through a small network, number by number. On the left the
// slopes go back (backprop, or what the lane's rule sends instead); on the right the speeds go
// forward (forward mode). All numbers and formulas come from the server.
import { element, icon, write } from "./dom.js";
import { Graph } from "./inside-graph.js";
import { Surface } from "./inside-surface.js";
import { formula, line, lineAsText, plain, sentence } from "./inside-text.js";
import { Weight } from "./inside-weight.js";

const SECONDS = { slow: 4, normal: 2, fast: 0.7 };

export function create(root, context) {
  return new Inside(root, context);
}

class Inside {
  constructor(root, context) {
    this.context = context;
    this.root = root;
    this.asked = { lane: 0, example: 0, direction: "", backward: "backprop" };
    this.at = 0;
    this.data = null;
    this.timer = 0;
    this.turn = 0;
    root.classList.add("inside");
    this.build();
    this.weight = new Weight(this.body, context, {
      direction: (key) => this.ask({ direction: key }),
      chosen: (key) => {
        this.picked = key;
        this.draw();
      },
    });
    this.surface = new Surface(this.body, context);
    const dialog = root.closest("dialog");
    // On the document: after a click on a picture nothing inside has the focus.
    document.addEventListener("keydown", (event) => {
      if (!dialog || dialog.open) this.key(event);
    });
    new ResizeObserver(() => this.layout()).observe(this.pictures);
  }

  // ------------------------------------------------------------ the parts
  build() {
    this.note = element("p", { class: "inside-note", role: "status" });
    this.lane = element("select", { "aria-label": "Lane" });
    this.lane.onchange = () => this.ask({ lane: Number(this.lane.value), backward: "backprop" });
    this.before = button("‹", "Example before", () => this.ask({ example: this.asked.example - 1 }));
    this.after = button("›", "Next example", () => this.ask({ example: this.asked.example + 1 }));
    this.example = element("span", { class: "inside-example" });
    this.compare = button("Compare a weight", null, () => this.compareOne());
    this.again = button("Look again", null, () => this.ask({}));
    this.again.hidden = true;
    this.again.classList.add("inside-again");
    this.buildTabs();
    const tools = element(
      "div",
      { class: "inside-tools" },
      this.lane,
      element("span", { class: "inside-stepper" }, this.before, this.example, this.after),
      this.tabs,
      this.compare,
      this.again,
    );
    this.backward = element("select", { "aria-label": "What goes back" });
    this.backward.onchange = () => this.ask({ backward: this.backward.value }, true);
    this.direction = element("select", { "aria-label": "Direction" });
    this.direction.onchange = () => this.ask({ direction: this.direction.value }, true);
    this.left = this.side("left", "Backward", "every slope in one pass back", this.backward);
    this.right = this.side("right", "Forward mode", "one slope in one pass forward", this.direction);
    this.pictures = element("div", { class: "inside-pictures" }, this.left.root, this.right.root);
    this.title = element("h3", { class: "inside-title" });
    this.defines = element("dl", { class: "inside-defines" });
    this.spoken = element("p", { class: "inside-unseen", "aria-live": "polite" });
    this.says = element(
      "section",
      { class: "inside-says", "aria-label": "This step" },
      this.title,
      element("div", { class: "inside-both-sides" }, this.left.says, this.right.says),
      this.defines,
    );
    this.list = element("ol", { class: "inside-list" });
    this.more = element("details", {}, element("summary", {}, "All steps as a list"), this.list);
    this.more.addEventListener("toggle", () => this.writeList());
    this.refused = element("div", { class: "inside-refused", hidden: true });
    this.instead = element("p", { class: "inside-instead" });
    this.body = element("div", { class: "inside-body" }, this.instead, this.pictures, this.says, this.more);
    this.root.append(tools, this.refused, this.body, this.transport(), this.spoken);
    this.root.dataset.only = this.body.dataset.only = "both";
    this.tabs.firstChild.setAttribute("aria-pressed", "true");
  }

  buildTabs() {
    this.tabs = element("div", { class: "inside-tabs", role: "group", "aria-label": "Pictures" });
    const names = { both: "Both", left: "Backward", right: "Forward", surface: "Surface" };
    for (const [name, title] of Object.entries(names)) {
      const tab = button(title, null, () => this.only(name));
      tab.dataset.name = name;
      this.tabs.append(tab);
    }
  }

  side(name, title, about, chooser) {
    const head = element("header", {}, element("h3", {}, title), element("small", {}, about), chooser);
    const frame = element("div", { class: "inside-frame" });
    const picture = element("section", { class: `inside-side inside-${name}`, "aria-label": title }, head, frame);
    const graph = new Graph(frame, name === "left" ? "gradient" : "tangent", {
      weight: (key) => this.pick(key),
      example: (number) => this.ask({ example: number }),
    });
    const says = element("div", { class: `inside-says-${name}` });
    return { root: picture, frame, graph, says };
  }

  transport() {
    this.first = button("", "First step", () => this.go(0), "first");
    this.previous = button("", "Previous step", () => this.go(this.at - 1), "previous");
    this.player = button("", "Play the steps", () => this.play(!this.timer), "play");
    this.next = button("", "Next step", () => this.go(this.at + 1), "next");
    this.next.setAttribute("autofocus", ""); // so that arrow keys step, and do not change the lane
    this.slider = element("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Step" });
    this.slider.oninput = () => this.go(Number(this.slider.value));
    this.chapters = element("div", { class: "inside-chapters" });
    this.count = element("span", { class: "inside-count" });
    this.speed = element("select", { "aria-label": "Speed of the steps" });
    for (const name of Object.keys(SECONDS)) this.speed.append(element("option", {}, name));
    this.speed.value = "normal";
    return element(
      "div",
      { class: "inside-bar", role: "group", "aria-label": "Steps" },
      this.first,
      this.previous,
      this.player,
      this.next,
      element("div", { class: "inside-track" }, this.chapters, this.slider),
      this.note,
      this.count,
      this.speed,
    );
  }

  // ------------------------------------------------------------ what the page tells
  race(state) {
    this.play(false);
    this.data = null;
    this.weight.close();
    this.surface.without.clear();
    this.asked = { lane: 0, example: this.asked.example, direction: "", backward: "backprop" };
    this.at = 0;
    write(this.title, "");
    write(this.count, "");
    if (this.context.isOpen?.("inside")) this.ask({});
  }

  frame(state) {
    if (!this.data?.small) return;
    const now = state.lanes[this.asked.lane];
    const gone = state.step !== this.shownAt && now?.status === "running";
    this.again.hidden = !gone;
    this.tell();
  }

  shown(on) {
    if (!on) {
      this.play(false);
      return;
    }
    const { state, send } = this.context;
    if (state.playing) {
      send({ do: "play", on: false }).catch(() => {});
      this.context.say?.("The race pauses while you look inside.");
    }
    this.ask({});
  }

  // Ask for the steps of this example.
  async ask(change, keep = false) {
    const { state, send } = this.context;
    Object.assign(this.asked, change);
    const count = this.data?.examples ?? 1;
    this.asked.example = (this.asked.example + count) % count;
    if ("lane" in change) this.asked.direction = this.asked.direction.replace("rule", "");
    const order = { do: "inside", ...this.asked };
    const turn = ++this.turn;
    let found;
    try {
      found = await send(order);
    } catch (error) {
      found = { why: error.message };
    }
    if (turn !== this.turn) return; // something else was asked for meanwhile
    this.again.hidden = true;
    this.shownAt = found.step ?? state.step;
    if (!found.small) {
      this.refuse(found);
      return;
    }
    const before = this.data;
    this.data = found;
    this.asked.direction = found.direction;
    this.asked.backward = found.backward;
    this.refused.hidden = true;
    this.root.classList.remove("inside-too-large");
    this.at = keep || before ? Math.min(this.at, found.steps.length - 1) : 0;
    this.fill();
    this.layout();
    this.weight.renew(found);
    if (this.body.dataset.only === "surface") this.surface.show();
  }

  refuse({ why, settings, button: text }) {
    this.play(false);
    this.data = null;
    this.root.classList.add("inside-too-large");
    this.refused.hidden = false;
    this.refused.replaceChildren(element("p", {}, why.endsWith(".") ? why : `${why}.`));
    if (!settings) return;
    const take = button(text, null, () => {
      const order = { do: "set", settings: { ...this.context.state.settings, ...settings } };
      this.context.send(order).catch((error) => this.refuse({ why: error.message }));
    });
    take.classList.add("main");
    this.refused.append(take);
    const about = "The race starts anew with it, from step 0.";
    this.refused.append(element("p", { class: "inside-soft" }, about));
  }

  // ------------------------------------------------------------ filling in
  fill() {
    const { data, context } = this;
    const lanes = context.state.lanes;
    const options = lanes.map((lane, k) => {
      const option = element("option", { value: k }, `Lane ${k + 1}: ${lane.label || lane.title}`);
      option.disabled = lane.status === "left out";
      return option;
    });
    this.lane.replaceChildren(...options);
    this.lane.value = String(data.lane);
    this.lane.hidden = lanes.length < 2;
    write(this.example, `Example ${data.example + 1} of ${data.examples}`);
    const backs = [element("option", { value: "backprop" }, "by backprop")];
    if (data.instead?.drawn) {
      backs.push(element("option", { value: "rule" }, `as ${lanes[data.lane].title} does`));
    }
    this.backward.replaceChildren(...backs);
    this.backward.value = data.backward;
    this.backward.hidden = backs.length < 2;
    this.fillInstead(lanes[data.lane].title);
    const own = data.direction;
    const ways = [];
    const one = own[0] === "W" || own[0] === "b" ? own : "W1.1.1";
    ways.push([one, `one weight: ${data.names[one]}`]);
    const seed = own.startsWith("random") ? Number(own.split(":")[1] || 0) : 0;
    ways.push([`random:${seed}`, "a random direction"]);
    if (own.startsWith("random")) ways.push([`random:${seed + 1}`, "another random direction"]);
    if (data.has_direction) ways.push(["rule", "this rule's next direction"]);
    const choices = ways.map(([value, text]) => element("option", { value }, text));
    this.direction.replaceChildren(...choices);
    this.direction.value = own;
    this.slider.max = String(data.steps.length - 1);
    this.slider.setAttribute("max", data.steps.length - 1);
    this.fillChapters();
    this.tell();
    this.defined = firsts(data.steps);
    this.writeList();
  }

  // What the lane's rule does, if it is not backprop.
  fillInstead(title) {
    const { data } = this;
    this.instead.hidden = !data.instead;
    if (!data.instead) return;
    const name = element("strong", {}, `${title[0].toUpperCase()}${title.slice(1)}: `);
    this.instead.replaceChildren(name, data.instead.words);
    const rule = data.instead.drawn ? data.backward !== "rule" : data.direction !== "rule";
    if (data.instead.drawn) {
      const text = rule ? "Show its way back" : "Show backprop";
      const change = { backward: rule ? "rule" : "backprop" };
      this.instead.append(" ", button(text, null, () => this.ask(change, true)));
    } else if (data.has_direction && rule) {
      this.instead.append(" ", button("See it", null, () => this.ask({ direction: "rule" }, true)));
    }
  }

  fillChapters() {
    const names = { forward: "forward", backward: "backward", end: "compared" };
    const found = [];
    this.data.steps.forEach((step, n) => {
      const last = found.at(-1);
      if (last?.phase === step.phase) last.size += 1;
      else found.push({ phase: step.phase, start: n, size: 1 });
    });
    const made = found.map(({ phase, start, size }) => {
      const text = phase === "end" ? "=" : names[phase];
      const go = button(text, `Go to: ${names[phase]}`, () => this.go(start));
      go.className = `inside-chapter inside-phase-${phase}`;
      go.style.flexGrow = size;
      return go;
    });
    this.chapters.replaceChildren(...made);
  }

  tell() {
    if (!this.data) return;
    const parts = [`at step ${this.shownAt}`];
    if (!this.again.hidden) parts.push(`the network is at step ${this.context.state.step} now`);
    write(this.note, parts.join("; "));
  }

  layout() {
    if (!this.data?.small) return;
    const plane = this.context.state.plane;
    const most = Math.max(...this.data.sizes, 3);
    this.pictures.style.setProperty("--rows", most);
    for (const side of [this.left, this.right]) {
      const box = side.frame.getBoundingClientRect();
      if (box.width < 50 || box.height < 50) continue;
      side.graph.lay(this.data, plane, box.width, box.height);
    }
    this.draw();
  }

  draw() {
    const { data } = this;
    if (!data?.small) return;
    const step = data.steps[this.at];
    for (const side of [this.left, this.right]) {
      if (side.graph.cells) side.graph.show(data.steps, this.at, this.picked);
    }
    write(this.title, plain(step.title));
    this.say(this.left.says, step.left, step.phase === "backward" ? "gradient" : "value", step);
    const done = step.phase === "backward" ? this.finished() : step.right;
    this.say(this.right.says, done, "tangent", step);
    const defines = this.defined[this.at];
    this.defines.replaceChildren(
      ...defines.map(([name, meaning]) =>
        element("div", {}, element("dt", {}, formula(name)), element("dd", {}, sentence(meaning))),
      ),
    );
    this.slider.value = String(this.at);
    this.slider.setAttribute("aria-valuetext", `${this.at + 1} of ${data.steps.length}: ${step.title}`);
    write(this.count, `${this.at + 1} / ${data.steps.length}`);
    this.first.disabled = this.previous.disabled = this.at === 0;
    this.next.disabled = this.at === data.steps.length - 1;
    if (!this.timer) write(this.spoken, this.aloud(step));
    for (const [n, item] of [...this.list.children].entries()) {
      item.classList.toggle("inside-here", n === this.at);
    }
  }

  // What forward mode has at the end, while the left goes back.
  finished() {
    const last = this.data.steps.findLast((step) => step.phase === "forward");
    return { lines: last.right.lines, words: "Forward mode has its answer already: one slope, and nothing goes back." };
  }

  say(root, side, kind, step) {
    const rows = side.lines.map((of) => line(of, kind));
    const long = side.lines.some((of) => of.numbers.length > 34);
    const lines = element("div", { class: `inside-lines${rows.length > 2 ? " inside-many" : ""}${rows.length > 5 ? " inside-most" : ""}${long ? " inside-long" : ""}` });
    lines.append(...rows);
    const words = element("p", { class: "inside-words" }, sentence(side.words));
    root.replaceChildren(lines, words);
    if (root === this.left.says && this.data.backward === "rule" && step.phase === "backward") {
      words.classList.add("inside-of-rule");
    }
  }

  aloud(step) {
    const parts = [step.title];
    for (const side of [step.left, step.right]) {
      parts.push(...side.lines.map(lineAsText), plain(side.words));
    }
    return parts.filter(Boolean).join(". ");
  }

  // All steps in words, for whoever does not look at pictures.
  writeList() {
    if (!this.more.open || !this.data) return;
    const { steps } = this.data;
    this.list.replaceChildren(
      ...steps.map((step, n) => {
        const item = element("li", {}, element("strong", {}, plain(step.title)));
        for (const [name, side] of [["", step.left], ["Forward mode: ", step.right]]) {
          for (const of of side.lines) {
            item.append(element("div", {}, name, formula(asText(of), true)));
          }
          if (side.words) item.append(element("div", { class: "inside-soft" }, sentence(side.words)));
        }
        for (const [what, meaning] of this.defined[n]) {
          item.append(element("div", { class: "inside-soft" }, formula(what), ": ", sentence(meaning)));
        }
        item.classList.toggle("inside-here", n === this.at);
        return item;
      }),
    );
  }

  // ------------------------------------------------------------ moving
  go(at) {
    if (!this.data?.small) return;
    this.at = Math.max(0, Math.min(this.data.steps.length - 1, at));
    this.draw();
  }

  play(on) {
    clearInterval(this.timer);
    this.timer = 0;
    if (on && this.data?.small) {
      if (this.at === this.data.steps.length - 1) this.go(0);
      const tick = () => {
        this.go(this.at + 1);
        if (this.at === this.data.steps.length - 1) this.play(false);
      };
      this.timer = setInterval(tick, SECONDS[this.speed.value] * 1000);
      this.speed.onchange = () => this.play(true);
    } else {
      this.speed.onchange = null;
    }
    this.player.replaceChildren(shape(this.timer ? "pause" : "play"));
    this.player.setAttribute("aria-label", this.timer ? "Pause the steps" : "Play the steps");
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || !this.data?.small) return;
    if (event.key === "Escape" && this.weight.key) {
      this.weight.close();
      event.preventDefault(); // the sheet stays
      return;
    }
    if (event.target.matches?.("select, textarea, input:not([type=range])")) return;
    const moves = { ArrowRight: this.at + 1, ArrowLeft: this.at - 1, Home: 0, End: 1e9 };
    if (event.key in moves) this.go(moves[event.key]);
    else if (event.key === " " && !event.target.matches?.("button, summary")) this.play(!this.timer);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  only(name) {
    this.root.dataset.only = this.body.dataset.only = name;
    if (name === "surface") {
      this.play(false);
      this.weight.close();
      this.surface.show();
    }
    for (const tab of this.tabs.children) {
      tab.setAttribute("aria-pressed", String(tab.dataset.name === name));
    }
    this.layout();
  }

  // ------------------------------------------------------------ a weight
  pick(key) {
    this.play(false);
    this.weight.open(key, this.asked, this.data);
  }

  compareOne() {
    if (!this.data?.small) return;
    const step = this.data.steps[this.at];
    this.pick(step.edges.find((key) => key[0] === "W") || "W1.1.1");
  }
}

// symbol = formula = numbers = value, as one formula.
function asText(of) {
  return [of.symbol, of.formula, of.numbers, of.text].filter(Boolean).join(" = ");
}

// A definition is shown where its symbol comes up first.
function firsts(steps) {
  const seen = new Set();
  return steps.map((step) =>
    step.defines.filter(([name]) => {
      const is = seen.has(name);
      seen.add(name);
      return !is;
    }),
  );
}

const SHAPES = {
  first: "M6 5h2.6v14H6zM19 5.6v12.8a.7.7 0 0 1-1.1.6L9 12.6a.7.7 0 0 1 0-1.2L17.9 5a.7.7 0 0 1 1.1.6z",
  previous: "M17 5.6v12.8a.7.7 0 0 1-1.1.6L7 12.6a.7.7 0 0 1 0-1.2L15.900 5a.7.7 0 0 1 1.1.6z",
  next: "M7 5.600v12.800a.7.7 0 0 0 1.1.6L17 12.6a.7.7 0 0 0 0-1.2L8.1 5A.7.7 0 0 0 7 5.600z",
};

function shape(name) {
  if (!(name in SHAPES)) return icon(name);
  const made = icon("play");
  made.firstChild.setAttribute("d", SHAPES[name]);
  return made;
}

function button(text, label, act, picture = null) {
  const made = element("button", { type: "button", "aria-label": label, title: label, onclick: act });
  if (picture) made.append(shape(picture));
  else made.append(text);
  if (picture) made.classList.add("round");
  return made;
}
