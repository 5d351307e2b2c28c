// The cosine of each rule's estimate with the true gradient, by layer: now, and since the start.
import { element, write } from "./dom.js";
import { laneName, onScheme, onWidth, panels, say, sharp } from "./paint.js";

const MOST = 240; // points of a course: when there are more, every second one goes
const HEIGHT = 34;

const inWords = (cosine) => cosine.toFixed(2).replace(/^-0\.00$/, "0.00");

// "layer 1": where there is little room, the word is left out.
function heading(title) {
  const [word, rest] = title.split(" ");
  return rest ? element("span", {}, element("span", { class: "word" }, `${word} `), rest) : element("span", {}, title);
}

export function create(root, context) {
  let lanes = [];
  let layers = [];

  function race(state) {
    for (const lane of lanes) lane.observer.disconnect();
    layers = state.layers ?? [];
    const names = [...layers.map((name, k) => [name, `layer ${k + 1}`]), ["total", "all"]];
    lanes = panels(context, "cosine", state.lanes).map((panel, k) => {
      const name = laneName(state.lanes[k]);
      const rows = names.map(([key, title]) => {
        const canvas = element("canvas", { role: "img" });
        const strip = element("div", { class: "course" }, canvas);
        const number = element("output", {}, "–");
        number.setAttribute("aria-live", "off");
        panel.append(element("div", { class: `cosine-row ${key}` }, heading(title), strip, number));
        say(canvas, `cosine with the gradient, ${title} of ${name}: not measured yet`);
        return { key, title, canvas, strip, number, course: [], now: undefined };
      });
      const lane = { rows, name, every: 1, seen: 0, at: -1, look: state.lanes[k].look, width: 0 };
      lane.observer = onWidth(rows[0].strip, (width) => {
        lane.width = width;
        draw(lane);
      });
      return lane;
    });
  }

  function add(lane, { at, total, layers: found }) {
    if (at === lane.at) return draw(lane); // it was told before
    const keep = lane.seen++ % lane.every === 0 || at < lane.at;
    for (const row of lane.rows) {
      while (row.course.length && row.course.at(-1)[0] >= at) row.course.pop(); // a recording went back
      row.now = row.key === "total" ? total : found[row.key];
      row.now ??= null;
      if (keep || !row.course.length) row.course.push([at, row.now]);
      else row.course[row.course.length - 1] = [at, row.now];
    }
    if (lane.rows[0].course.length > MOST) {
      for (const row of lane.rows) row.course = row.course.filter((_, k) => k % 2 === 0);
      lane.every *= 2;
    }
    lane.at = at;
    draw(lane);
  }

  function draw(lane) {
    if (!lane.width) return;
    const { text, lanes: colours } = context.colours();
    const colour = colours[lane.look];
    for (const row of lane.rows) {
      const paint = sharp(row.canvas, lane.width, HEIGHT);
      const y = (value) => HEIGHT / 2 - value * (HEIGHT / 2 - 3);
      const right = lane.width - 5;
      paint.strokeStyle = text;
      paint.globalAlpha = 0.16;
      paint.lineWidth = 1;
      paint.beginPath();
      for (const value of [-1, 1]) {
        paint.moveTo(0, y(value));
        paint.lineTo(lane.width, y(value));
      }
      paint.stroke();
      paint.globalAlpha = 0.45;
      paint.beginPath();
      paint.moveTo(0, y(0));
      paint.lineTo(lane.width, y(0));
      paint.stroke();
      paint.globalAlpha = 1;
      if (row.now === undefined) continue;
      const last = Math.max(1, lane.at);
      paint.strokeStyle = colour;
      paint.lineWidth = 1.6;
      paint.lineJoin = "round";
      paint.beginPath();
      let pen = false;
      for (const [at, value] of row.course) {
        if (value === null) pen = false;
        else if (pen) paint.lineTo((at / last) * right, y(value));
        else {
          paint.moveTo((at / last) * right, y(value));
          pen = true;
        }
      }
      paint.stroke();
      if (row.now !== null) {
        paint.fillStyle = colour;
        paint.beginPath();
        paint.arc(right, y(row.now), 3.5, 0, 2 * Math.PI);
        paint.fill();
      }
      const known = row.now !== null;
      write(row.number, known ? inWords(row.now).replace("-", "−") : "undefined");
      row.number.classList.toggle("none", !known);
      row.number.title = known ? "" : "the estimate or the gradient is 0, so there is no angle between them";
      say(row.canvas, () => {
        const value = row.now === null ? "undefined, since the estimate or the gradient is 0" : inWords(row.now);
        return `cosine with the gradient, ${row.title} of ${lane.name} at step ${lane.at}: ${value}, on a scale from -1 to 1`;
      });
    }
  }

  function frame(state, message) {
    message.lanes.forEach((told, k) => {
      if (told.views?.cosine && lanes[k]) add(lanes[k], told.views.cosine);
    });
  }

  onScheme(() => lanes.forEach(draw));
  return { race, frame };
}
