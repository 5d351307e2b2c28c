// Look inside one step: one example through a small network, number by number. On the left the
// slopes go back (backprop, or what the lane's rule sends instead); on the right the speeds go
// forward (forward mode). All numbers and formulas come from the server.
import { element, write } from "./dom.js";
import { fill } from "./inside-fill.js";
import { SECONDS, build, button, shape } from "./inside-parts.js";
import { Surface } from "./inside-surface.js";
import { formula, plain, sentence } from "./inside-text.js";
import { Weight } from "./inside-weight.js";
import { aloud, finished, say } from "./inside-words.js";

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
    build(this);
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
    if (matchMedia("(max-width: 720px)").matches) this.only("left"); // no room for two pictures
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
    fill(this);
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
    say(this, this.left.says, step.left, step.phase === "backward" ? "gradient" : "value", step);
    const done = step.phase === "backward" ? finished(this) : step.right;
    say(this, this.right.says, done, "tangent", step);
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
    if (!this.timer) write(this.spoken, aloud(this, step));
    for (const [n, item] of [...this.list.children].entries()) {
      item.classList.toggle("inside-here", n === this.at);
    }
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
