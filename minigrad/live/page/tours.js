// Guided tours: a panel beside what it talks about. It gives the orders that a person could give.
import { element, icon } from "./dom.js";

const SPEEDS = [1, 3, 10, 30]; // rounds in a second, as the page offers them

const VIEWS = ["regions", "units", "weights", "cosine", "recall"]; // of the lanes

export function create(root, context) {
  return new Tours(context);
}

class Tours {
  constructor(context) {
    this.context = context;
    this.tour = null; // the tour that is taken
    this.at = 0; // its step
    this.before = null; // the race before it
    this.playing = false; // whether the tour plays until a step
    this.number = 0; // of the orders for a step: older ones are given up
    this.orders = Promise.resolve();
    this.lost = false; // whether the race must be set up anew
    this.old = null; // number of the race before that
    this.panel = element("aside", { class: "tours-panel", "aria-label": "Guided tour", hidden: true });
    this.panel.addEventListener("keydown", (event) => this.key(event));
    document.body.append(this.panel);
    // The panel goes where it hides least of what it points at.
    addEventListener("resize", () => this.place());
    addEventListener("scroll", () => this.place(), { passive: true });
  }

  get tours() {
    return this.context.state.hello?.tours || [];
  }

  shown(on) {
    if (on) this.list();
    else if (this.tour) this.leave(true);
    else this.close();
  }

  race() {
    if (this.tour) this.point();
  }

  frame(state) {
    if (!this.playing || !this.tour) return;
    const until = this.until(this.at); // of a step before, if somebody did not wait for it
    if (state.race === this.old) return; // a frame of the race before
    this.count(state.step, until);
    if (state.step < until) return;
    this.playing = false;
    this.context.send({ do: "play", on: false }).catch(() => {});
    this.context.send({ do: "speed", rounds: null }).catch(() => {});
    this.reveal();
  }

  // ---------------------------------------------------------------- the list of tours
  list() {
    if (!this.tours.length) {
      this.context.say("There are no tours in a recording: start minigrad live.");
      setTimeout(() => this.context.close("tours"));
      return;
    }
    const items = this.tours.map((tour) => {
      const button = element("button", { type: "button", class: "tours-choice" });
      button.append(
        element("strong", {}, tour.title),
        element("span", {}, tour.about),
        element("small", {}, `${tour.steps.length} steps, about ${tour.minutes} minutes`),
      );
      button.onclick = () => this.start(tour);
      return element("li", {}, button);
    });
    const list = element("ul", { class: "tours-list" }, ...items);
    this.fill("Guided tours", list);
    this.panel.querySelector(".tours-choice")?.focus();
  }

  fill(title, ...children) {
    const close = element(
      "button",
      { type: "button", class: "quiet round", "aria-label": this.tour ? "Leave the tour" : "Close" },
      icon("close"),
    );
    close.onclick = () => this.context.close("tours");
    const heading = element("h2", { tabindex: "-1" }, title);
    this.panel.replaceChildren(element("header", {}, heading, close), ...children);
    this.panel.hidden = false;
    document.body.classList.add("touring");
    this.place();
    return heading;
  }

  close() {
    this.panel.hidden = true;
    this.panel.replaceChildren();
    document.body.classList.remove("touring");
    this.unpoint();
  }

  // ---------------------------------------------------------------- a tour
  start(tour) {
    const state = this.context.state;
    this.before = {
      settings: structuredClone(state.settings),
      playing: state.playing,
      speed: state.speed,
      views: VIEWS.filter((name) => this.context.isOpen(name)),
    };
    this.tour = tour;
    this.at = 0;
    this.lost = true;
    this.go(0);
  }

  go(to) {
    const number = ++this.number;
    const anew = to !== this.at + 1 || Boolean(this.tour.steps[to].settings);
    this.lost = this.lost || anew; // a step that was left before its race was there
    this.at = to;
    this.playing = false;
    this.draw();
    this.open(this.tour.steps[to].show);
    this.point();
    // One after the other: the orders of two steps never mix.
    this.orders = this.orders.then(() => this.enter(to, number, anew));
  }

  async enter(to, number, anew) {
    if (number !== this.number) return;
    const step = this.tour.steps[to];
    try {
      if (this.lost) await this.begin(to);
      this.lost = false;
      if (number === this.number) await this.play(step, !anew || step.settings);
    } catch (error) {
      this.context.say(error.message);
    }
    if (number === this.number) this.point();
  }

  // The race of step `to`: the last settings up to there.
  async begin(to) {
    let k = to;
    while (!this.tour.steps[k].settings) k -= 1;
    this.old = this.context.state.race;
    await this.context.send({ do: "play", on: false });
    await this.context.send({ do: "set", settings: this.tour.steps[k].settings });
  }

  async play(step, watched) {
    const state = this.context.state;
    const until = this.until(this.at);
    const done = state.race === this.old ? 0 : state.step;
    if (until === null || done >= until) {
      this.reveal();
      if (until === null) await this.context.send({ do: "play", on: false });
      return;
    }
    // As slow as the step says, so that one can watch; back in a tour, as fast as possible.
    const rounds = watched && step.until ? (until - done) / step.seconds : null;
    const speed = rounds === null ? null : (SPEEDS.find((speed) => speed >= rounds) ?? null);
    await this.context.send({ do: "speed", rounds: speed });
    this.playing = true;
    await this.context.send({ do: "play", on: true });
  }

  // How far the race has come at step k of the tour: null, it has not begun.
  until(k) {
    for (; k >= 0; k -= 1) {
      if (this.tour.steps[k].until !== null) return this.tour.steps[k].until;
      if (this.tour.steps[k].settings) return null;
    }
    return null;
  }

  // Show these views of the lanes and no others. null: leave them as they are.
  open(show) {
    if (!show) return;
    for (const name of VIEWS) {
      if (show.includes(name) === this.context.isOpen(name)) continue;
      if (show.includes(name)) this.context.open(name);
      else this.context.close(name);
    }
  }

  async leave(restore) {
    const before = this.before;
    this.number += 1;
    this.open(before.views);
    this.tour = null;
    this.before = null;
    this.playing = false;
    this.close();
    try {
      await this.context.send({ do: "speed", rounds: before.speed });
      if (!restore) return;
      await this.context.send({ do: "play", on: false });
      await this.context.send({ do: "set", settings: before.settings });
      this.context.say("The race is set up as it was before the tour.");
    } catch (error) {
      this.context.say(error.message);
    }
  }

  keep() {
    this.leave(false);
    this.context.close("tours");
  }

  // ---------------------------------------------------------------- the panel
  draw() {
    const { steps, title } = this.tour;
    const step = steps[this.at];
    const last = this.at === steps.length - 1;
    const said = element("div", { class: "tours-text" });
    said.append(...step.text.map((text) => element("p", {}, text.replaceAll(" = ", "\u00a0=\u00a0"))));
    if (step.question) said.append(element("p", { class: "tours-question" }, step.question));
    this.seen = element("div", { class: "tours-seen", "aria-live": "polite" });
    const back = element("button", { type: "button", class: "field", disabled: this.at === 0 }, "Back");
    back.onclick = () => this.go(this.at - 1);
    const next = element("button", { type: "button", class: "field tours-next" });
    next.append(last ? "Back to my race" : "Next");
    next.onclick = () => (last ? this.context.close("tours") : this.go(this.at + 1));
    const dots = steps.map((_, k) => element("i", { class: k === this.at ? "on" : null }));
    const where = `step ${this.at + 1} of ${steps.length}`;
    const progress = element("span", { class: "tours-dots", role: "img", "aria-label": where }, ...dots);
    const foot = element("footer", {}, back, progress, next);
    const kicker = element("p", { class: "tours-kicker" }, `${title}, ${where}`);
    const heading = this.fill(step.title, kicker, said, this.seen, foot);
    if (last) {
      const keep = element("button", { type: "button", class: "quiet" }, "Keep this race");
      keep.onclick = () => this.keep();
      foot.before(element("p", { class: "tours-keep" }, keep));
    }
    heading.focus({ preventScroll: true });
    this.place();
  }

  count(done, until) {
    const text = `step ${Math.min(done, until)} of ${until}`;
    const bar = element("progress", { max: until, value: Math.min(done, until) });
    bar.setAttribute("aria-label", text);
    this.seen.replaceChildren(element("p", { class: "tours-waiting", "aria-hidden": "true" }, text), bar);
  }

  // What one should see now; and the answer of the last step, when somebody asks for it.
  reveal() {
    const step = this.tour.steps[this.at];
    const seen = step.seen.map((text) => element("li", {}, text));
    this.seen.replaceChildren();
    if (seen.length) this.seen.append(element("ul", {}, ...seen));
    if (step.answer) {
      const answer = element("details", {}, element("summary", {}, "An answer"));
      answer.append(element("p", {}, step.answer));
      answer.ontoggle = () => this.place();
      this.seen.append(answer);
    }
    this.place();
  }

  // ---------------------------------------------------------------- what it points at
  target() {
    const at = this.tour?.steps[this.at].at;
    if (!at) return null;
    const card = at.match(/^lane (\d)$/);
    if (card) return this.context.lane(Number(card[1]) - 1)?.card || null;
    const found = document.getElementById(at);
    return found?.closest("figure") && found.classList.contains("plot") ? found.closest("figure") : found;
  }

  point() {
    this.unpoint();
    const target = this.target();
    if (!target) return;
    target.classList.add("tours-target");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    target.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
    this.place();
  }

  unpoint() {
    for (const one of document.querySelectorAll(".tours-target")) one.classList.remove("tours-target");
  }

  // The corner in which the panel hides least of its target.
  place() {
    if (this.panel.hidden) return;
    this.panel.dataset.corner = "right";
    const target = this.target()?.getBoundingClientRect();
    if (!target) return;
    const sizes = ["right", "left", "top-right"].map((corner) => {
      this.panel.dataset.corner = corner;
      const own = this.panel.getBoundingClientRect();
      const wide = Math.min(own.right, target.right) - Math.max(own.left, target.left);
      const high = Math.min(own.bottom, target.bottom) - Math.max(own.top, target.top);
      return { corner, size: Math.max(0, wide) * Math.max(0, high) };
    });
    sizes.sort((a, b) => a.size - b.size);
    this.panel.dataset.corner = sizes[0].corner;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const leaves = event.key === "Escape";
    if (leaves) this.context.close("tours");
    else if (!this.tour) return;
    else if (event.key === "ArrowRight" && this.at < this.tour.steps.length - 1) this.go(this.at + 1);
    else if (event.key === "ArrowLeft" && this.at > 0) this.go(this.at - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
