// The share of each class's test examples that a lane gets right: a bar a class.
import { element, write } from "./dom.js";
import { laneName, panels, percent, say } from "./paint.js";

export function create(root, context) {
  let lanes = [];

  function race(state) {
    const classes = state.classes ?? [];
    lanes = panels(context, "recall", state.lanes).map((panel, k) => {
      const name = laneName(state.lanes[k]);
      const list = element("div", { class: "bars", role: "img", tabindex: 0 });
      const told = element("span", {}, "not measured yet");
      const when = element("span", { class: "when" });
      const bars = classes.map((label) => {
        const fill = element("i");
        const bar = element("span", { class: "bar" }, element("span", { class: "track" }, fill), element("b", {}, label));
        bar.dataset.value = "";
        list.append(bar);
        return { bar, fill, last: null };
      });
      panel.append(list, element("p", { class: "told" }, told, when));
      // Arrow keys show the number of one bar after the other, as the mouse does.
      let chosen = -1;
      const choose = (now) => {
        bars[chosen]?.bar.classList.remove("chosen");
        bars[(chosen = now)]?.bar.classList.add("chosen");
      };
      list.addEventListener("keydown", (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        event.preventDefault();
        choose(chosen < 0 ? (by > 0 ? 0 : bars.length - 1) : (chosen + by + bars.length) % bars.length);
      });
      list.addEventListener("blur", () => choose(-1));
      say(list, `recall by class of ${name}: not measured yet`);
      return { list, told, when, bars, name, classes };
    });
  }

  function draw(lane, { at, recall }) {
    let least = -1;
    lane.bars.forEach((bar, k) => {
      const value = recall[k] ?? null;
      if (value !== null && (least < 0 || value < recall[least])) least = k;
      if (value === bar.last && bar.bar.dataset.value) return;
      bar.last = value;
      const text = value === null ? "no example" : percent(value);
      bar.fill.style.transform = `scaleY(${value ?? 0})`;
      bar.bar.dataset.value = `${lane.classes[k]}: ${text}`;
      bar.bar.classList.toggle("none", value === null);
    });
    lane.bars.forEach(({ bar }, k) => bar.classList.toggle("least", k === least));
    if (least >= 0) write(lane.told, `worst: class ${lane.classes[least]}, ${percent(recall[least])}`);
    write(lane.when, `step ${at}`);
    say(lane.list, () => {
      const each = recall.map((r, k) => `${lane.classes[k]}: ${r === null ? "no example" : percent(r)}`);
      return `recall by class of ${lane.name} at step ${at}: ${each.join(", ")}`;
    });
  }

  function frame(state, message) {
    message.lanes.forEach((told, k) => {
      if (told.views?.recall && lanes[k]) draw(lanes[k], told.views.recall);
    });
  }
  return { race, frame };
}
