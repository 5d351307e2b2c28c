// What is drawn on the network for one step: numbers on weights, arrows from box to box.
import { draw } from "./inside-svg.js";

// A number on a weight.
export function chip(graph, edge, text, end, colour, strong) {
  const size = Math.max(10, Math.min(graph.letter * 0.85, 20));
  const wide = text.length * size * 0.56 + 8;
  const room = edge.end.left - edge.start.right;
  // Near the end at which the lines are far from each other.
  const edgeOf = { start: wide / 2 + 4, end: room - wide / 2 - 4 };
  const x = edge.start.right + (edgeOf[end] ?? room / 2);
  const middle = (edge.start.y + edge.end.y) / 2;
  const y = end ? edge[end].y : middle;
  const group = draw("g", { class: "inside-chip" });
  group.append(draw("rect", { x: x - wide / 2, y: y - size * 0.72, width: wide, height: size * 1.44, rx: 5 }));
  const said = draw("text", { x, y: y + size * 0.35 }, text);
  said.style.fontSize = `${size}px`;
  if (strong) said.setAttribute("class", "inside-strong");
  group.append(said);
  group.classList.add(`inside-${colour}`);
  graph.layers.labels.append(group);
}

// An arrow between two boxes that no weight joins.
export function arc(graph, from, to, colour) {
  const start = graph.cells.get(from);
  const end = graph.cells.get(to);
  if (!start || !end || start.middle === end.middle) return;
  const [x1, y1] = [start.middle, start.border.y - start.high / 2];
  const [x2, y2] = [end.middle, end.border.y - end.high / 2];
  const lift = Math.max(24, Math.abs(x1 - x2) * 0.28);
  const y = Math.max(8, Math.min(y1, y2) - lift);
  const path = `M${x1} ${y1}C${x1} ${y} ${x2} ${y} ${x2} ${y2}`;
  const tip = `url(#inside-${graph.kind}-${colour})`;
  graph.layers.arcs.append(draw("path", { d: path, class: `inside-arc inside-${colour}`, "marker-end": tip }));
}
