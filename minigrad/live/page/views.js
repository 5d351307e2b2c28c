// The views: which there are, which are shown, and where they are on the page.
import { byId, element, icon } from "./dom.js";

// place: see app.js. show: what the server must measure for it. fits: whether the data have it.
// first: whether it is shown until somebody chooses. live: it needs a server.
const plane = (state) => Boolean(state.plane);
const images = (state) => !state.plane;
const VIEWS = [
  {
    name: "regions",
    title: "Decision regions",
    place: "lanes",
    show: "regions",
    fits: plane,
    first: plane,
    load: () => import("./regions.js"),
  },
  {
    name: "units",
    title: "Hidden units",
    place: "lanes",
    show: "units",
    fits: plane,
    load: () => import("./units.js"),
  },
  {
    name: "weights",
    title: "Weights",
    place: "lanes",
    show: "weights",
    first: images,
    load: () => import("./weights.js"),
  },
  {
    name: "cosine",
    title: "Cosine with the gradient",
    place: "lanes",
    show: "cosine",
    load: () => import("./cosine.js"),
  },
  {
    name: "recall",
    title: "Recall by class",
    place: "lanes",
    show: "recall",
    load: () => import("./recall.js"),
  },
  {
    name: "draw",
    title: "Draw a digit",
    place: "panel",
    fits: images,
    live: true,
    load: () => import("./draw.js"),
  },
  {
    name: "inside",
    title: "Inside one step",
    place: "sheet",
    live: true,
    load: () => import("./inside.js"),
  },
  { name: "tours", title: "Tours", place: "window", load: () => import("./tours.js") },
  { name: "code", title: "Code", place: "window", live: true, load: () => import("./code.js") },
];

export class Views {
  constructor(context, lanes) {
    this.context = context;
    this.lanes = lanes;
    this.on = new Set();
    this.chosen = new Map(); // name: what somebody has chosen
    this.created = new Map(); // name: the view
    this.places = new Map();
    this.chosenLayer = null;
    this.buttons = new Map();
    for (const view of VIEWS) this.load(view);
  }

  async load(view) {
    const module = await view.load();
    const root = this.place(view);
    const made = module.create(root, this.context) || {};
    this.created.set(view.name, made);
    this.places.set(view.name, root);
    if (["lanes", "panel", "sheet"].includes(view.place)) this.addButton(view);
    this.context.viewAdded?.(view);
    if (this.context.state.race) {
      made.race?.(this.context.state);
      this.choose();
    }
  }

  // The element in which a view lives.
  place(view) {
    const inside = element("div", { class: `view-${view.name}` });
    if (view.place === "lanes") {
      inside.classList.add("view-tools");
      inside.hidden = true;
      byId("strips").append(inside);
      return inside;
    }
    if (view.place === "panel") {
      const heading = element("h2", {}, view.title);
      const card = element("section", { class: "panel card", "aria-label": view.title }, heading);
      card.append(inside);
      card.hidden = true;
      byId("panels").append(card);
      inside.outer = card;
      return inside;
    }
    const close = element(
      "button",
      { class: "quiet round", type: "button", "aria-label": `Close: ${view.title}` },
      icon("close"),
    );
    close.onclick = () => this.toggle(view.name, false);
    const head = element("header", {}, element("h2", {}, view.title), close);
    const dialog = element("dialog", { class: view.place, "aria-label": view.title }, head, inside);
    dialog.addEventListener("close", () => this.toggle(view.name, false));
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    document.body.append(dialog);
    inside.outer = dialog;
    return inside;
  }

  slot(name) {
    return this.places.get(name);
  }

  addButton(view) {
    const button = element("button", { type: "button", class: "toggle", "aria-pressed": "false" });
    button.append(view.title);
    button.onclick = () => this.toggle(view.name);
    this.buttons.set(view.name, button);
    const order = VIEWS.map((of) => of.name);
    const shown = [...this.buttons.keys()].sort((a, b) => order.indexOf(a) - order.indexOf(b));
    byId("looks").replaceChildren(...shown.map((name) => this.buttons.get(name)));
    byId("looks").hidden = false;
  }

  isOpen(name) {
    return this.on.has(name);
  }

  has(name) {
    return this.created.has(name);
  }

  fits(view) {
    const state = this.context.state;
    if (state.recorded && view.live) return false;
    return !view.fits || view.fits(state);
  }

  toggle(name, on = !this.on.has(name)) {
    if (on === this.on.has(name) || !this.created.has(name)) return;
    this.chosen.set(name, on);
    this.set(name, on);
    this.tell();
    const view = VIEWS.find((of) => of.name === name);
    if (on && view.place === "lanes") this.scrollTo(this.lanes.lane(0)?.slot(name));
  }

  // In a low window a view may be below the edge: whoever switches it on wants to see it. It grows
  // when its first numbers come.
  scrollTo(slot) {
    if (!slot) return;
    const watch = new ResizeObserver(() => slot.scrollIntoView({ block: "nearest" }));
    watch.observe(slot);
    setTimeout(() => watch.disconnect(), 1500);
  }

  // Show what was chosen and fits the data.
  choose() {
    for (const view of VIEWS) {
      if (!this.created.has(view.name)) continue;
      const fits = this.fits(view);
      const button = this.buttons.get(view.name);
      if (button) button.hidden = !fits;
      const wanted = this.chosen.get(view.name) ?? Boolean(view.first?.(this.context.state));
      this.set(view.name, fits && wanted);
    }
    this.tell();
  }

  set(name, on) {
    const changed = on !== this.on.has(name);
    if (on) this.on.add(name);
    else this.on.delete(name);
    this.buttons.get(name)?.setAttribute("aria-pressed", String(on));
    const root = this.places.get(name);
    const outer = root.outer || root;
    if (outer.tagName === "DIALOG") {
      // A view may leave its root empty and have a place of its own.
      if (on && !outer.open && root.childElementCount) outer.showModal();
      else if (!on && outer.open) outer.close();
    } else {
      outer.hidden = !on;
    }
    document.body.classList.toggle(`has-${name}`, on);
    byId("panels").hidden = ![...byId("panels").children].some((child) => !child.hidden);
    this.lanes.show(name, on);
    if (!changed) return;
    const view = this.created.get(name);
    view.shown?.(on);
    if (outer.tagName === "DIALOG" && on && !outer.open && root.childElementCount) {
      outer.showModal();
    }
    if (on) view.frame?.(this.context.state, everything(this.context.state));
  }

  layer(name) {
    this.chosenLayer = name;
    this.tell(true);
  }

  // Tell the server what is looked at.
  tell(force = false) {
    if (!this.context.state.race) return;
    const wanted = VIEWS.filter((view) => view.show && this.on.has(view.name));
    const order = { do: "show", views: wanted.map((view) => view.show) };
    if (this.chosenLayer !== null) order.layer = this.chosenLayer;
    const text = JSON.stringify(order);
    if (text === this.told && !force) return;
    this.told = text;
    this.context.send(order).catch(() => {
      this.told = null;
    });
  }

  race(state, anew) {
    if (!anew) return;
    this.told = null;
    this.chosenLayer = null;
    for (const view of this.created.values()) view.race?.(state);
    this.choose();
  }

  frame(state, message) {
    for (const name of this.on) this.created.get(name).frame?.(state, message);
  }

  restyle() {
    if (!this.context.state.race) return;
    for (const name of this.on) {
      this.created.get(name).frame?.(this.context.state, everything(this.context.state));
    }
  }
}

// A frame with the newest of every view.
function everything(state) {
  const lanes = state.lanes.map((lane) => ({ ...lane, from: 0, views: lane.views }));
  return { kind: "all", race: state.race, step: state.step, playing: state.playing, lanes };
}
