// The loss over a plane through the weights, and the lanes' ways on it.
import { element } from "./dom.js";
import { draw } from "./inside-svg.js";

const BANDS = 14;

export class Surface {
  constructor(root, context) {
    this.context = context;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.over = draw("svg", { class: "inside-ways-over", role: "img" });
    this.legend = element("ul", { class: "inside-legend" });
    this.words = element("div", { class: "inside-surface-words" });
    this.map = element("div", { class: "inside-map" });
    this.map.append(this.canvas, this.over);
    const side = element("div", { class: "inside-map-side" }, this.words, this.legend);
    this.root = element("section", { class: "inside-surface", "aria-label": "The loss surface" }, this.map, side);
    root.append(this.root);
    this.without = new Set();
  }

  async show() {
    let found;
    try {
      found = await this.context.send({ do: "surface", without: [...this.without] });
    } catch (error) {
      this.words.replaceChildren(element("p", {}, error.message));
      this.without.clear();
      return;
    }
    if (!found.small) return;
    this.paint(found);
    this.write(found);
  }

  paint(found) {
    const { size, loss } = found;
    const values = loss.flat().filter((value) => value !== null);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    // Logarithmic: the valley has more colours than the heights.
    const height = (value) => Math.log(value - least + 0.02 * (most - least) + 1e-9);
    const [low, high] = [height(least), height(most)];
    const share = (value) => (value === null ? 1 : (height(value) - low) / (high - low || 1));
    const fine = 480;
    this.canvas.width = this.canvas.height = fine;
    const pen = this.canvas.getContext("2d");
    const image = pen.createImageData(fine, fine);
    const at = (row, column) => share(loss[row][column]);
    for (let y = 0; y < fine; y++) {
      const r = Math.min((y / (fine - 1)) * (size - 1), size - 1.000001);
      const r0 = Math.floor(r);
      for (let x = 0; x < fine; x++) {
        const c = Math.min((x / (fine - 1)) * (size - 1), size - 1.000001);
        const c0 = Math.floor(c);
        const above = at(r0, c0) * (1 - c + c0) + at(r0, c0 + 1) * (c - c0);
        const below = at(r0 + 1, c0) * (1 - c + c0) + at(r0 + 1, c0 + 1) * (c - c0);
        const band = Math.floor((above + (below - above) * (r - r0)) * BANDS) / BANDS;
        const [red, green, blue] = colour(band);
        image.data.set([red, green, blue, 255], 4 * (y * fine + x));
      }
    }
    pen.putImageData(image, 0, 0);
  }

  // A lane, and whether its way counts for the map.
  entry(lane, k, loss, colour) {
    const box = element("input", { type: "checkbox" });
    box.checked = !this.without.has(k);
    box.onchange = () => {
      if (box.checked) this.without.delete(k);
      else this.without.add(k);
      this.show();
    };
    const said = `${lane.label || lane.title}${loss ? `: loss ${loss}` : ""}`;
    const item = element("li", {}, element("label", {}, box, " ", element("b", {}, String(k + 1)), ` ${said}`));
    item.style.borderLeftColor = colour;
    return item;
  }

  write(found) {
    const { state } = this.context;
    const colours = this.context.colours();
    const [left, right, below, above] = found.range;
    const x = (a) => ((a - left) / (right - left)) * 480;
    const y = (b) => (1 - (b - below) / (above - below)) * 480;
    this.over.setAttribute("viewBox", "0 0 480 480");
    this.over.replaceChildren();
    this.legend.replaceChildren();
    found.ways.forEach((way, k) => {
      const lane = state.lanes[k];
      if (!lane || (!way.length && !this.without.has(k))) return;
      this.legend.append(this.entry(lane, k, found.texts[k], colours.lanes[lane.look]));
      if (!way.length) return;
      const points = way.map(([a, b]) => `${x(a)},${y(b)}`).join(" ");
      const own = colours.lanes[lane.look] || "#000";
      const dashes = (colours.dashes[lane.look] || []).join(" ");
      this.over.append(
        draw("polyline", { points, class: "inside-halo" }),
        draw("polyline", { points, class: "inside-way", stroke: own, "stroke-dasharray": dashes }),
      );
      const [a, b] = way.at(-1);
      this.over.append(
        draw("circle", { cx: x(a), cy: y(b), r: 10, class: "inside-end", stroke: own }),
        draw("text", { x: x(a), y: y(b) + 4.5, class: "inside-end-name" }, String(k + 1)),
      );
    });
    const [sx, sy] = [x(0), y(0)];
    this.over.append(draw("path", { d: `M${sx - 7} ${sy}h14M${sx} ${sy - 7}v14`, class: "inside-start" }));
    this.over.setAttribute("aria-label", `The ways of the lanes over the loss; the list beside it has the loss at each end.`);
    const held = Math.round(found.share * 100);
    const parts = [
      "Each point of this map is a whole network: all its weights. Dark is a low loss, bright a high one.",
      "The cross is where all lanes begin. Each line is a lane's way so far, the numbered ring its end.",
      held
        ? `A network has many more directions than two. The map takes the two in which the ways spread most; they hold ${held} % of it. What leaves this plane is seen from above, so the loss at an end may differ from the colour below it.`
        : "No lane has moved yet: the map takes two random directions. Train a little, and look again.",
      `The loss is that of ${found.examples} training examples.`,
    ];
    this.words.replaceChildren(...parts.map((text) => element("p", {}, text)));
  }
}

// From dark blue to light yellow: brighter is higher, for every eye and on every screen.
const STOPS = [
  [16, 24, 64],
  [38, 72, 120],
  [66, 128, 150],
  [140, 178, 160],
  [206, 212, 172],
  [246, 242, 214],
];

function colour(share) {
  const at = Math.max(0, Math.min(0.9999, share)) * (STOPS.length - 1);
  const n = Math.floor(at);
  return STOPS[n].map((value, k) => value + (STOPS[n + 1][k] - value) * (at - n));
}
