// What each hidden unit says over the plane: a row of small maps, one of them enlarged on demand.
import { element, write } from "./dom.js";
import { byteColours, bytes, laneName, onScheme, onWidth, panels, points, say, short } from "./paint.js";

export function create(root, context) {
  let lanes = [];
  let plane = null;
  let chosen = null; // the unit that is enlarged, in every lane: the lanes began with the same weights

  function race(state) {
    for (const lane of lanes) lane.observer.disconnect();
    lanes = [];
    plane = state.plane;
    chosen = null;
    root.replaceChildren();
    if (!plane) return;
    if (state.hidden?.length > 1) root.append(chooser(state.hidden));
    lanes = panels(context, "units", state.lanes).map((panel, k) => {
      const map = element("canvas", { class: "smooth", role: "img" });
      const dots = element("canvas", { class: "over", "aria-hidden": "true" });
      const large = element("div", { class: "stack square large", hidden: true }, map, dots);
      const note = element("p", { class: "told", hidden: true });
      const row = element("div", { class: "units", role: "group" });
      row.setAttribute("aria-label", `hidden units of ${laneName(state.lanes[k])}`);
      panel.append(row, large, note);
      const lane = { row, map, dots, large, note, units: [], name: laneName(state.lanes[k]), width: 0, view: null };
      lane.observer = onWidth(large, (width) => points(dots, plane, width, { faint: true }));
      row.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button) choose(lane.units.findIndex((unit) => unit.button === button));
      });
      row.addEventListener("keydown", (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        const now = lane.units.findIndex((unit) => unit.button === document.activeElement);
        if (event.key === "Escape") choose(chosen);
        if (!by || now < 0) return;
        event.preventDefault();
        lane.units[now].button.tabIndex = -1;
        const next = lane.units[(now + by + lane.units.length) % lane.units.length].button;
        next.tabIndex = 0;
        next.focus();
      });
      return lane;
    });
  }

  // Which hidden layer's units are shown.
  function chooser(names) {
    const buttons = names.map((name, k) => {
      const button = element("button", { type: "button" }, `hidden layer ${k + 1}`);
      button.onclick = () => {
        context.layer(name);
        for (const other of buttons) other.setAttribute("aria-pressed", other === button);
      };
      return button;
    });
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", k === 0));
    return element("div", { class: "unit-layers orders", role: "group", "aria-label": "Layer of the units" }, ...buttons);
  }

  function choose(unit) {
    chosen = unit === chosen || unit === null ? null : unit;
    for (const lane of lanes) {
      lane.large.hidden = lane.note.hidden = chosen === null || chosen >= lane.units.length;
      lane.units.forEach(({ button }, k) => button.setAttribute("aria-pressed", k === chosen));
      draw(lane);
    }
  }

  function fill(canvas, h, w) {
    canvas.width = w;
    canvas.height = h;
    const paint = canvas.getContext("2d");
    const image = paint.createImageData(w, h);
    return { paint, image, pixels: new Uint32Array(image.data.buffer) };
  }

  function draw(lane) {
    if (!lane.view) return;
    const { size, count, data } = lane.view;
    const [h, w] = size;
    const same = lane.units.length === count && lane.size === `${h} ${w}`;
    if (!same) {
      lane.size = `${h} ${w}`;
      lane.units = Array.from({ length: count }, (_, k) => {
        const canvas = element("canvas", { class: "smooth" });
        const button = element("button", { type: "button", title: `unit ${k + 1}` }, canvas);
        button.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-label", `unit ${k + 1}`);
        button.tabIndex = k === 0 ? 0 : -1; // Tab reaches the row, arrow keys its units
        return { button, ...fill(canvas, h, w) };
      });
      lane.row.replaceChildren(...lane.units.map((unit) => unit.button));
      lane.full = fill(lane.map, h, w);
    }
    const values = bytes(data);
    const colours = byteColours();
    lane.units.forEach(({ paint, image, pixels }, k) => {
      // Byte b is low + b/255 (high - low); white is 0, the strongest colour the largest |value|.
      const [low, high] = [lane.view.low[k], lane.view.high[k]];
      const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
      const [start, step] = [127.5 + (127.5 * low) / most, (high - low) / most / 2];
      let i = k * h * w;
      for (let to = 0; to < pixels.length; to++) pixels[to] = colours[(start + step * values[i++] + 0.5) | 0];
      paint.putImageData(image, 0, 0);
    });
    if (chosen !== null && chosen < count) {
      lane.full.pixels.set(lane.units[chosen].pixels);
      lane.full.paint.putImageData(lane.full.image, 0, 0);
      const [low, high] = [lane.view.low[chosen], lane.view.high[chosen]];
      const reach = low === high ? `${short(low)} everywhere` : `${short(low)} to ${short(high)}`;
      const told = `unit ${chosen + 1}: ${reach}`;
      write(lane.note, told);
      say(lane.map, `what ${told} of ${lane.name} says over the plane at step ${lane.view.at}`);
    }
    say(lane.row, () => {
      const { low, high, at } = lane.view;
      const same = low.filter((value, k) => value === high[k]).length;
      return `${count} hidden units of ${lane.name} at step ${at}; ${same || "none"} say the same everywhere. Enter enlarges one`;
    });
  }

  function frame(state, message) {
    message.lanes.forEach((told, k) => {
      const view = told.views?.units;
      if (!view || !lanes[k]) return;
      lanes[k].view = view;
      draw(lanes[k]);
    });
  }

  onScheme(() => lanes.forEach(draw));
  return { race, frame };
}
