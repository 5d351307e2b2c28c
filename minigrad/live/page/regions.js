// What each lane says to every point of the plane: colour is the class, strength the confidence.
import { element, write } from "./dom.js";
import { MARKERS, bytes, classColours, classOf, css, laneName, onScheme, onWidth, panels, percent, points, say, sharp } from "./paint.js";

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export function create(root, context) {
  let lanes = [];
  let plane = null;
  let classes = [];
  let probe = null; // [x1, x2]: the point that is asked about
  let asked = 0;
  let asking = false;

  function race(state) {
    for (const lane of lanes) lane.observer.disconnect();
    lanes = [];
    plane = state.plane;
    classes = state.classes ?? [];
    probe = null;
    root.replaceChildren();
    if (!plane) return;
    root.append(legend());
    lanes = panels(context, "regions", state.lanes).map((panel, k) => {
      const map = element("canvas", { class: "smooth", "aria-hidden": "true" });
      const dots = element("canvas", { class: "over", "aria-hidden": "true" });
      const cross = element("canvas", { class: "over", tabindex: context.recorded ? -1 : 0, role: "img" });
      cross.classList.toggle("probe", !context.recorded);
      const box = element("div", { class: "stack square" }, map, dots, cross);
      const told = element("span");
      const when = element("span", { class: "when" });
      panel.append(box, element("p", { class: "told" }, told, when));
      const lane = { map, dots, cross, told, when, name: laneName(state.lanes[k]), width: 0, view: null, said: null };
      lane.observer = onWidth(box, (width) => {
        lane.width = width;
        points(dots, plane, width);
        drawProbe(lane);
      });
      cross.addEventListener("pointerdown", (event) => {
        const at = cross.getBoundingClientRect();
        const [x0, x1, y0, y1] = plane.range;
        const x = x0 + ((event.clientX - at.left) / at.width) * (x1 - x0);
        const y = y1 - ((event.clientY - at.top) / at.height) * (y1 - y0);
        ask([x, y]);
      });
      cross.addEventListener("keydown", (event) => {
        const by = KEYS[event.key];
        if (event.key === "Escape") ask(null);
        if (!by) return;
        event.preventDefault();
        const [x0, x1, y0, y1] = plane.range;
        const [x, y] = probe ?? [(x0 + x1) / 2, (y0 + y1) / 2];
        const step = event.shiftKey ? 0.1 : 0.02;
        ask([
          Math.min(x1, Math.max(x0, x + by[0] * step * (x1 - x0))),
          Math.min(y1, Math.max(y0, y + by[1] * step * (y1 - y0))),
        ]);
      });
      explain(lane);
      say(cross, `decision regions of ${lane.name}: not measured yet`);
      return lane;
    });
  }

  // What colours, markers and rings mean.
  function legend() {
    const parts = classes.map((name, k) => element("span", {}, mark(k), `class ${name}`));
    if (plane.noisy.length) {
      parts.push(element("span", {}, element("i", { class: "ring" }), "label drawn anew"));
    }
    parts.push(element("span", {}, "strong colour: the network is sure"));
    return element("div", { class: "legend" }, ...parts);
  }

  function mark(k) {
    const made = element("b", {}, MARKERS[classOf(k).marker]);
    made.style.color = css(classOf(k).colour);
    return made;
  }

  function ask(point) {
    if (context.recorded) return; // nobody answers
    probe = point;
    for (const lane of lanes) {
      if (!point) lane.said = null;
      drawProbe(lane);
      explain(lane);
    }
    if (point) renew();
  }

  // Ask again: one question at a time, and the newest point is asked last.
  async function renew() {
    if (asking) return;
    asking = true;
    asked = performance.now();
    const point = probe;
    try {
      const found = await context.send({ do: "at", point });
      if (probe) {
        found.lanes.forEach((said, k) => {
          if (!lanes[k]) return;
          lanes[k].said = said ? said.probabilities : null;
          explain(lanes[k]);
        });
      }
    } catch {
      // A recording has nobody who answers; another race has begun.
    }
    asking = false;
    if (probe && probe !== point) renew();
  }

  function explain(lane) {
    if (!lane.said) {
      if (!context.recorded) write(lane.told, probe ? "no answer" : "click a point to ask about it");
      return;
    }
    const order = lane.said.map((p, k) => [p, k]).sort((a, b) => b[0] - a[0]);
    const parts = order.slice(0, 3).map(([p, k]) =>
      element("span", {}, mark(k), ` ${classes[k] ?? k}: ${percent(p)}`),
    );
    lane.told.replaceChildren(...parts);
  }

  function drawProbe(lane) {
    if (!lane.width) return;
    const paint = sharp(lane.cross, lane.width, lane.width);
    if (!probe) return;
    const [x0, x1, y0, y1] = plane.range;
    const x = ((probe[0] - x0) / (x1 - x0)) * lane.width;
    const y = ((y1 - probe[1]) / (y1 - y0)) * lane.width;
    for (const [width, colour] of [[4, "rgb(255 255 255 / .9)"], [1.8, "black"]]) {
      paint.strokeStyle = colour;
      paint.lineWidth = width;
      paint.beginPath();
      paint.arc(x, y, 8, 0, 2 * Math.PI);
      for (const [dx, dy] of Object.values(KEYS)) {
        paint.moveTo(x + 4 * dx, y + 4 * dy);
        paint.lineTo(x + 13 * dx, y + 13 * dy);
      }
      paint.stroke();
    }
  }

  function draw(lane) {
    if (!lane.view) return;
    const [h, w] = lane.view.size;
    const { map } = lane;
    if (map.width !== w || map.height !== h || !lane.image) {
      map.width = w;
      map.height = h;
      lane.image = map.getContext("2d").createImageData(w, h);
    }
    const pixels = new Uint32Array(lane.image.data.buffer);
    const colours = Array.from({ length: classes.length || 2 }, (_, k, n = classes.length || 2) => classColours(k, n));
    const label = (lane.label = bytes(lane.view.class));
    const sure = bytes(lane.view.confidence);
    for (let i = 0; i < pixels.length; i++) pixels[i] = colours[label[i]][sure[i]];
    map.getContext("2d").putImageData(lane.image, 0, 0);
    write(lane.when, `step ${lane.view.at}`);
    say(lane.cross, () => words(lane));
  }

  function words(lane) {
    const { label, view } = lane;
    const share = new Map();
    for (const k of label) share.set(k, (share.get(k) ?? 0) + 1);
    const parts = [...share].sort((a, b) => b[1] - a[1]);
    const told = parts.map(([k, n]) => `class ${classes[k] ?? k} on ${percent(n / label.length)}`);
    return `decision regions of ${lane.name} at step ${view.at}: ${told.join(", ")} of the plane${context.recorded ? "" : `. ${HELP}`}`;
  }

  function frame(state, message) {
    message.lanes.forEach((told, k) => {
      const view = told.views?.regions;
      if (!view || !lanes[k]) return;
      lanes[k].view = view;
      draw(lanes[k]);
    });
    if (probe && message.lanes.some((told) => told.views?.regions) && performance.now() - asked > 250) renew();
  }

  onScheme(() => {
    for (const lane of lanes) {
      draw(lane);
      if (lane.width) points(lane.dots, plane, lane.width);
    }
  });
  return { race, frame };
}

const HELP = "Arrow keys move a point that every lane is asked about";
