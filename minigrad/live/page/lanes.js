// The cards of the lanes.
import { byId, element, formula, icon, sample, short, write } from "./dom.js";
import { DASHES } from "./colours.js";
import { menu } from "./menu.js";
import { slider } from "./rate.js";

const RATES = [1e-5, 10];
const OPTIONS = {
  directions: { label: "directions K", about: "Directions K", values: [1, 2, 4, 8, 16, 32] },
  update_probability: {
    label: "updates p",
    about: "Update probability",
    values: [0.05, 0.1, 0.25, 0.5, 1],
  },
};

export class Lanes {
  constructor(context) {
    this.context = context;
    this.cards = [];
    this.shown = new Set();
    new ResizeObserver(() => this.fit()).observe(byId("lanes"));
    menu(byId("add"), () => this.offers(), { label: "Add a lane" });
  }

  // What a lane is called: its rule, and what tells it from the others.
  static title(lane) {
    return (lane.label || lane.title).replace(/ (?=[\d=])/g, "\u00a0"); // "lr 0.1" stays whole
  }

  lane(k) {
    return this.cards[k];
  }

  race(state, anew) {
    if (!anew) return this.rates(state);
    this.cards = state.lanes.map((lane, k) => this.card(state, lane, k));
    byId("lanes").replaceChildren(...this.cards.map((card) => card.card));
    byId("lanes").dataset.count = state.lanes.length;
    byId("lanes").style.setProperty("--count", state.lanes.length);
    const limit = state.hello?.limits?.lanes || 6;
    byId("add").disabled = state.lanes.length >= limit;
    this.fit();
    this.frame(state);
  }

  // How wide the cards are, in letters: style.css lays them out by it.
  fit() {
    const first = this.cards[0]?.card;
    if (!first) return;
    const letters = first.clientWidth / Number.parseFloat(getComputedStyle(document.body).fontSize);
    const fit = letters < 13.5 ? "narrow" : letters < 21 ? "column" : letters < 34 ? "beside" : "wide";
    if (byId("lanes").dataset.fit !== fit) byId("lanes").dataset.fit = fit;
  }

  rates(state) {
    state.lanes.forEach((lane, k) => {
      const card = this.cards[k];
      card.rate.set(lane.lr);
      write(card.title, Lanes.title(lane));
      for (const [name, control] of card.options) {
        if (document.activeElement !== control) control.value = String(lane[name]);
      }
    });
  }

  card(state, lane, k) {
    const { send } = this.context;
    const title = Lanes.title(lane);
    const made = { status: null };
    made.rate = slider({
      label: "learning rate",
      about: `Learning rate of ${title}`,
      min: RATES[0],
      max: RATES[1],
      value: lane.lr,
      log: true,
      send: (lr) => send({ do: "rate", lane: k, lr }),
    });
    made.accuracy = element("dd", {}, "–");
    made.loss = element("dd", {}, "–");
    made.state = element("p", { class: "status", id: `status-${k}` });
    const remove = element(
      "button",
      { type: "button", class: "quiet round orders", "aria-label": `Remove the lane ${title}` },
      icon("close"),
    );
    remove.onclick = () => this.remove(k);
    remove.hidden = state.lanes.length < 2;
    made.title = element("h2", { id: `lane-${k}` }, title);
    const head = element("header", {}, made.title, remove);
    const numbers = element(
      "dl",
      { class: "numbers" },
      element("div", {}, element("dt", {}, "accuracy"), made.accuracy),
      element("div", {}, element("dt", {}, "loss"), made.loss),
    );
    const knobs = element("div", { class: "knobs orders" }, made.rate.root);
    made.options = new Map();
    for (const option of lane.about.options || []) {
      const root = this.option(lane, k, option);
      made.options.set(option, root.querySelector("select"));
      knobs.append(root);
    }
    made.views = element("div", { class: "views" }, made.state);
    const facts = element(
      "div",
      { class: "facts" },
      numbers,
      knobs,
      this.explained(lane),
    );
    const card = element(
      "article",
      { class: "lane card", "aria-labelledby": `lane-${k}` },
      sample(DASHES[lane.look], "100%"),
      head,
      element("div", { class: "inner" }, facts, made.views),
    );
    card.dataset.look = lane.look;
    made.card = card;
    card.onpointerenter = () => this.context.strong(k);
    card.onpointerleave = () => this.context.strong(null);
    made.slots = new Map();
    made.slot = (name) => {
      if (!made.slots.has(name)) {
        const slot = element("div", { class: `slot slot-${name}` });
        slot.hidden = !this.shown.has(name);
        made.slots.set(name, slot);
        made.views.append(slot);
      }
      return made.slots.get(name);
    };
    return made;
  }

  // K or the update probability: a few values to choose from.
  option(lane, k, name) {
    const { label, about, values } = OPTIONS[name];
    const error = element("p", { class: "error", role: "alert" });
    const id = `option-${k}-${name}`;
    const now = lane[name] ?? 1;
    const known = values.includes(now) ? values : [...values, now].sort((a, b) => a - b);
    const rows = known.map((value) => element("option", { value: String(value) }, String(value)));
    const control = element("select", { id }, ...rows);
    control.setAttribute("aria-label", `${about} of ${Lanes.title(lane)}`);
    control.value = String(now);
    control.onchange = async () => {
      try {
        await this.context.send({ do: "option", lane: k, name, value: Number(control.value) });
        write(error, "");
      } catch (problem) {
        write(error, problem.message);
      }
    };
    const text = element("label", { for: id }, label);
    return element("div", { class: "option" }, text, control, error);
  }

  // The rule in words: its equation, what it needs, where to read more.
  explained(lane) {
    const { equation, symbols, needs, watch, lesson, lesson_file, source } = lane.about;
    if (!equation && !needs) return null;
    const root = element("div", { class: "explained" });
    if (equation) root.append(element("p", { class: "equation" }, ...formula(equation)));
    if (symbols) root.append(element("p", { class: "symbols" }, ...formula(symbols)));
    for (const text of [needs || []].flat()) {
      const [what, ...rest] = text.split(": ");
      const said = rest.length ? [element("b", {}, `${what}: `), rest.join(": ")] : [text];
      root.append(element("p", { class: "need" }, ...said));
    }
    if (watch) root.append(element("p", { class: "watch" }, watch));
    if (lesson) root.append(element("p", {}, link(lesson, lesson_file, this.context.recorded)));
    if (source) root.append(element("p", { class: "source" }, source));
    return root;
  }

  // Show or hide a view's place in every card.
  show(name, on) {
    if (on) this.shown.add(name);
    else this.shown.delete(name);
    for (const card of this.cards) {
      const slot = card.slots.get(name);
      if (slot) slot.hidden = !on;
    }
  }

  frame(state) {
    state.lanes.forEach((lane, k) => {
      const card = this.cards[k];
      if (!card) return;
      const { accuracy, loss } = lane.points;
      card.rate.set(lane.lr);
      const last = accuracy.at(-1);
      write(card.accuracy, last === undefined || last === null ? "–" : `${percent(last)}`);
      write(card.loss, loss.length ? short(loss.at(-1)) : "–");
      if (card.status === lane.status && card.why === lane.why) return;
      card.status = lane.status;
      card.why = lane.why;
      card.card.dataset.status = lane.status;
      write(card.state, sentence(lane));
      if (lane.status !== "running") tell(`${Lanes.title(lane)}: ${sentence(lane)}`);
    });
  }

  // ------------------------------------------------------------ adding and removing
  change(lanes, failed) {
    const { send, say } = this.context;
    const settings = { ...this.context.state.settings, lanes };
    send({ do: "set", settings }).catch((error) => (failed || say)(error.message));
  }

  remove(k) {
    const { lanes } = this.context.state.settings;
    this.change(lanes.filter((_, j) => j !== k));
    byId("add").focus();
  }

  offers() {
    const { hello, settings, unfit = {} } = this.context.state;
    const here = new Set(settings.lanes.map((lane) => lane.rule));
    return (hello?.rules || []).map((rule) => ({
      title: rule.title + (here.has(rule.name) ? " (once more)" : ""),
      about: unfit[rule.name] || formula((rule.equation || "").split("\n").join(";  ")),
      disabled: rule.name in unfit,
      act: () => {
        const lr = rule.rates?.[settings.optimizer]; // one to begin with
        this.change([...settings.lanes, { rule: rule.name, lr }]);
      },
    }));
  }
}

export function percent(share) {
  return `${(100 * share).toFixed(share < 0.9995 ? 1 : 0)} %`;
}

function sentence(lane) {
  if (lane.why?.startsWith(lane.status)) return lane.why;
  if (lane.status === "diverged") return `diverged: ${lane.why || "the loss is not a number"}`;
  if (lane.status === "left out") return `left out: ${lane.why || "it cannot train this network"}`;
  if (lane.status !== "running") return [lane.status, lane.why].filter(Boolean).join(": ");
  return "";
}

// A link to the lesson: its script, which the server gives as text. A recording only names it.
function link(lesson, file, recorded) {
  const text = lesson[0].toUpperCase() + lesson.slice(1);
  if (!file || recorded) return element("span", {}, text);
  return element("a", { href: file, target: "_blank", rel: "noopener" }, text);
}

// For screen readers: what has happened, not every frame.
export function tell(text) {
  const said = byId("spoken");
  said.textContent = said.textContent === text ? `${text} ` : text;
}
