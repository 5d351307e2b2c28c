// The parts of "Inside one step": tools, two pictures, what is said of a step, the transport.
import { element, icon } from "./dom.js";
import { Graph } from "./inside-graph.js";
import { writeList } from "./inside-words.js";

export const SECONDS = { slow: 4, normal: 2, fast: 0.7 };

export function build(inside) {
  inside.note = element("p", { class: "inside-note", role: "status" });
  inside.lane = element("select", { "aria-label": "Lane" });
  inside.lane.onchange = () => inside.ask({ lane: Number(inside.lane.value), backward: "backprop" });
  inside.before = button("‹", "Example before", () => inside.ask({ example: inside.asked.example - 1 }));
  inside.after = button("›", "Next example", () => inside.ask({ example: inside.asked.example + 1 }));
  inside.example = element("span", { class: "inside-example" });
  inside.compare = button("Compare a weight", null, () => inside.compareOne());
  inside.again = button("Look again", null, () => inside.ask({}));
  inside.again.hidden = true;
  inside.again.classList.add("inside-again");
  buildTabs(inside);
  const tools = element(
    "div",
    { class: "inside-tools" },
    inside.lane,
    element("span", { class: "inside-stepper" }, inside.before, inside.example, inside.after),
    inside.tabs,
    inside.compare,
    inside.again,
  );
  inside.backward = element("select", { "aria-label": "What goes back" });
  inside.backward.onchange = () => inside.ask({ backward: inside.backward.value }, true);
  inside.direction = element("select", { "aria-label": "Direction" });
  inside.direction.onchange = () => inside.ask({ direction: inside.direction.value }, true);
  inside.left = side(inside, "left", "Backward", "every slope in one pass back", inside.backward);
  inside.right = side(inside, "right", "Forward mode", "one slope in one pass forward", inside.direction);
  inside.pictures = element("div", { class: "inside-pictures" }, inside.left.root, inside.right.root);
  inside.title = element("h3", { class: "inside-title" });
  inside.defines = element("dl", { class: "inside-defines" });
  inside.spoken = element("p", { class: "inside-unseen", "aria-live": "polite" });
  inside.says = element(
    "section",
    { class: "inside-says", "aria-label": "This step" },
    inside.title,
    element("div", { class: "inside-both-sides" }, inside.left.says, inside.right.says),
    inside.defines,
  );
  inside.list = element("ol", { class: "inside-list" });
  inside.more = element("details", {}, element("summary", {}, "All steps as a list"), inside.list);
  inside.more.addEventListener("toggle", () => writeList(inside));
  inside.refused = element("div", { class: "inside-refused", hidden: true });
  inside.instead = element("p", { class: "inside-instead" });
  inside.body = element("div", { class: "inside-body" }, inside.instead, inside.pictures, inside.says, inside.more);
  inside.root.append(tools, inside.refused, inside.body, transport(inside), inside.spoken);
  inside.root.dataset.only = inside.body.dataset.only = "both";
  inside.tabs.firstChild.setAttribute("aria-pressed", "true");
}

function buildTabs(inside) {
  inside.tabs = element("div", { class: "inside-tabs", role: "group", "aria-label": "Pictures" });
  const names = { both: "Both", left: "Backward", right: "Forward", surface: "Surface" };
  for (const [name, title] of Object.entries(names)) {
    const tab = button(title, null, () => inside.only(name));
    tab.dataset.name = name;
    inside.tabs.append(tab);
  }
}

function side(inside, name, title, about, chooser) {
  const head = element("header", {}, element("h3", {}, title), element("small", {}, about), chooser);
  const frame = element("div", { class: "inside-frame" });
  const picture = element("section", { class: `inside-side inside-${name}`, "aria-label": title }, head, frame);
  const graph = new Graph(frame, name === "left" ? "gradient" : "tangent", {
    weight: (key) => inside.pick(key),
    example: (number) => inside.ask({ example: number }),
  });
  const says = element("div", { class: `inside-says-${name}` });
  return { root: picture, frame, graph, says };
}

function transport(inside) {
  inside.first = button("", "First step", () => inside.go(0), "first");
  inside.previous = button("", "Previous step", () => inside.go(inside.at - 1), "previous");
  inside.player = button("", "Play the steps", () => inside.play(!inside.timer), "play");
  inside.next = button("", "Next step", () => inside.go(inside.at + 1), "next");
  inside.next.setAttribute("autofocus", ""); // so that arrow keys step, and do not change the lane
  inside.slider = element("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Step" });
  inside.slider.oninput = () => inside.go(Number(inside.slider.value));
  inside.chapters = element("div", { class: "inside-chapters" });
  inside.count = element("span", { class: "inside-count" });
  inside.speed = element("select", { "aria-label": "Speed of the steps" });
  for (const name of Object.keys(SECONDS)) inside.speed.append(element("option", {}, name));
  inside.speed.value = "normal";
  return element(
    "div",
    { class: "inside-bar", role: "group", "aria-label": "Steps" },
    inside.first,
    inside.previous,
    inside.player,
    inside.next,
    element("div", { class: "inside-track" }, inside.chapters, inside.slider),
    inside.note,
    inside.count,
    inside.speed,
  );
}

const SHAPES = {
  first: "M6 5h2.6v14H6zM19 5.6v12.8a.7.7 0 0 1-1.1.6L9 12.6a.7.7 0 0 1 0-1.2L17.9 5a.7.7 0 0 1 1.1.6z",
  previous: "M17 5.6v12.8a.7.7 0 0 1-1.1.6L7 12.6a.7.7 0 0 1 0-1.2L15.900 5a.7.7 0 0 1 1.1.6z",
  next: "M7 5.600v12.800a.7.7 0 0 0 1.1.6L17 12.6a.7.7 0 0 0 0-1.2L8.1 5A.7.7 0 0 0 7 5.600z",
};

export function shape(name) {
  if (!(name in SHAPES)) return icon(name);
  const made = icon("play");
  made.firstChild.setAttribute("d", SHAPES[name]);
  return made;
}

export function button(text, label, act, picture = null) {
  const made = element("button", { type: "button", "aria-label": label, title: label, onclick: act });
  if (picture) made.append(shape(picture));
  else made.append(text);
  if (picture) made.classList.add("round");
  return made;
}
