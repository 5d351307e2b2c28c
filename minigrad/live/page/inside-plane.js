// The example among all training examples, as a point of the plane. Colours and marks of the classes are
// those of the decision regions.
import { draw } from "./inside-svg.js";
import { classOf, css } from "./paint.js";

// room: {x, y, width, height}. take(n) is called when example n is clicked. null: there is no room.
export function planeOf(plane, example, { x, y, width, height }, svg, take) {
  const size = Math.min(width, height - y - 12, 190);
  if (size < 60) return null;
  const [left, right, below, above] = plane.range;
  const place = (point) => [
    x + ((point[0] - left) / (right - left)) * size,
    y + 6 + (1 - (point[1] - below) / (above - below)) * size,
  ];
  const group = draw("g", { class: "inside-plane inside-clickable" });
  group.append(draw("rect", { x, y: y + 6, width: size, height: size, rx: 6, class: "inside-plane-back" }));
  plane.x.forEach((point, n) => group.append(dot(...place(point), Math.max(1.6, size / 60), plane.y[n])));
  const [cx, cy] = place(example);
  group.append(draw("circle", { cx, cy, r: Math.max(5, size / 22), class: "inside-here" }));
  group.append(draw("title", {}, "the training examples: click to take another one"));
  group.onclick = (event) => {
    const box = svg.getBoundingClientRect();
    const view = svg.viewBox.baseVal;
    const mx = ((event.clientX - box.left) / box.width) * view.width;
    const my = ((event.clientY - box.top) / box.height) * view.height;
    let best = 0;
    let least = Infinity;
    plane.x.forEach((point, n) => {
      const [px, py] = place(point);
      const far = (px - mx) ** 2 + (py - my) ** 2;
      if (far < least) [least, best] = [far, n];
    });
    take(best);
  };
  return group;
}

function dot(cx, cy, r, label) {
  const { colour, marker } = classOf(label);
  const mark = { class: "inside-dot", fill: css(colour) };
  if (marker === "circle") return draw("circle", { ...mark, cx, cy, r });
  if (marker === "square") return draw("rect", { ...mark, x: cx - r, y: cy - r, width: 2 * r, height: 2 * r });
  if (marker === "triangle") {
    return draw("path", { ...mark, d: `M${cx} ${cy - r * 1.3}l${r * 1.2} ${r * 2.2}h${-r * 2.4}z` });
  }
  const [up, down] = [r * 1.4, -r * 1.4];
  return draw("path", { ...mark, d: `M${cx} ${cy + down}l${up} ${up}l${down} ${up}l${down} ${down}z` });
}
