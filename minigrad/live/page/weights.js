// First-layer weights: small images, one a unit. For sets in the plane: each unit's decision line.
import { element, write } from "./dom.js";
import { css, diverging, laneName, onScheme, onWidth, panels, points, say, sharp, short, signed, signedColours } from "./paint.js";

/** Columns, and how many screen pixels a weight gets, so that n images of h x w are as large as may be. */
export function grid(n, h, w, width) {
  let best = { columns: Math.min(n, Math.max(1, Math.floor((width + 1) / (w + 1)))), scale: 1 };
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const across = (width + 1) / (columns * (w + 1));
    const down = (0.9 * width + 1) / (rows * (h + 1));
    const scale = Math.floor(Math.min(across, down));
    if (scale > best.scale || (scale === best.scale && columns > best.columns && across >= scale)) {
      best = { columns, scale };
    }
  }
  best.columns = Math.ceil(n / Math.ceil(n / best.columns)); // rows of about the same length
  return best;
}

export function create(root, context) {
  let lanes = [];
  let plane = null;

  function race(state) {
    for (const lane of lanes) lane.observer.disconnect();
    under = null;
    glass.hidden = true;
    plane = state.plane;
    const note = "each line: where a unit of the first layer changes its sign; its tick points to the positive side";
    root.replaceChildren(...(plane ? [element("p", { class: "legend" }, note)] : []));
    lanes = panels(context, "weights", state.lanes).map((panel, k) => {
      const canvas = element("canvas", { role: "img", class: "pixels" });
      const low = element("span");
      const high = element("span");
      const note = element("span", { class: "note" });
      const bar = element("i", { class: "diverging-bar" });
      const box = element("div", { class: "stack" }, canvas);
      const scale = element("div", { class: "scale" }, low, bar, high, note);
      scale.setAttribute("aria-hidden", "true");
      panel.append(box, scale);
      const lane = { canvas, low, high, note, box, bar, name: laneName(state.lanes[k]), width: 0, view: null };
      if (plane) {
        lane.under = element("canvas", { "aria-hidden": "true" });
        box.prepend(lane.under);
        box.classList.add("square");
        canvas.classList.remove("pixels");
        canvas.classList.add("over");
        bar.hidden = true;
      }
      if (!plane) looked(lane);
      lane.observer = onWidth(box, (width) => {
        lane.width = width;
        if (plane) points(lane.under, plane, width, { faint: true });
        draw(lane);
      });
      say(canvas, `first-layer weights of ${lane.name}: not measured yet`);
      return lane;
    });
  }

  // A lens over the unit under the pointer.
  const lens = element("canvas", { class: "pixels" });
  const caption = element("span");
  const glass = element("div", { class: "weights-lens", "aria-hidden": "true", hidden: true }, lens, caption);
  document.body.append(glass);
  let under = null; // {lane, unit}

  function looked(lane) {
    const look = (event) => {
      if (!lane.view || !lane.columns) return;
      const at = lane.canvas.getBoundingClientRect();
      const [n, h, w] = lane.view.shape;
      const x = Math.floor((((event.clientX - at.left) / at.width) * lane.canvas.width) / (w + 1));
      const y = Math.floor((((event.clientY - at.top) / at.height) * lane.canvas.height) / (h + 1));
      const unit = y * lane.columns + x;
      if (x < 0 || x >= lane.columns || y < 0 || unit >= n) return leave();
      under = { lane, unit };
      glass.hidden = false;
      glass.style.left = `${Math.min(event.clientX + 18, innerWidth - 200)}px`;
      glass.style.top = `${event.clientY > 260 ? event.clientY - 225 : event.clientY + 22}px`;
      enlarge();
    };
    const leave = () => {
      under = null;
      glass.hidden = true;
    };
    lane.canvas.addEventListener("pointermove", look);
    lane.canvas.addEventListener("pointerdown", look);
    lane.canvas.addEventListener("pointerleave", leave);
    lane.canvas.addEventListener("pointercancel", leave);
  }

  function enlarge() {
    const { lane, unit } = under;
    const [, h, w] = lane.view.shape;
    lens.width = w;
    lens.height = h;
    const x = (unit % lane.columns) * (w + 1);
    const y = Math.floor(unit / lane.columns) * (h + 1);
    lens.getContext("2d").drawImage(lane.canvas, x, y, w, h, 0, 0, w, h);
    write(caption, `unit ${unit + 1}`);
  }

  function draw(lane) {
    if (!lane.view || !lane.width) return;
    const { shape, data, scale } = lane.view;
    const values = signed(data);
    if (plane) drawLines(lane, values);
    else drawImages(lane, values);
    write(lane.low, `−${short(scale)}`);
    write(lane.high, `+${short(scale)}`);
    if (plane) {
      write(lane.low, "");
      write(lane.high, `${shape[0]} units`);
      write(lane.note, `largest |w| ${short(scale)}`);
    } else write(lane.note, `${shape[0]} units, step ${lane.view.at}`);
    say(lane.canvas, () => words(lane, values));
  }

  function words(lane, values) {
    const { shape, scale, at } = lane.view;
    const [n, h, w] = shape;
    const kind = plane ? "decision lines of" : "weights of";
    let strongest = 0;
    let most = -1;
    for (let unit = 0; unit < n; unit++) {
      let sum = 0;
      for (let i = unit * h * w; i < (unit + 1) * h * w; i++) sum += values[i] ** 2;
      if (sum > most) [most, strongest] = [sum, unit];
    }
    const where = `${kind} ${n} units of the first layer of ${lane.name} at step ${at}`;
    const range = `from minus ${short(scale)} to plus ${short(scale)}`;
    return `${where}, ${range}; unit ${strongest + 1} has the largest weights`;
  }

  function drawImages(lane, values) {
    const [n, h, w] = lane.view.shape;
    const ratio = devicePixelRatio || 1;
    const { columns, scale } = grid(n, h, w, lane.width * ratio);
    const rows = Math.ceil(n / columns);
    const { canvas } = lane;
    lane.columns = columns;
    const width = columns * (w + 1) - 1;
    const height = rows * (h + 1) - 1;
    if (canvas.width !== width || canvas.height !== height || !lane.image) {
      canvas.width = width;
      canvas.height = height;
      lane.image = canvas.getContext("2d").createImageData(width, height);
    }
    canvas.style.width = `${(width * scale) / ratio}px`;
    canvas.style.height = `${(height * scale) / ratio}px`;
    const colours = signedColours();
    const pixels = new Uint32Array(lane.image.data.buffer);
    let i = 0;
    for (let unit = 0; unit < n; unit++) {
      const left = (unit % columns) * (w + 1);
      const top = Math.floor(unit / columns) * (h + 1);
      for (let y = 0; y < h; y++) {
        let to = (top + y) * width + left;
        for (let x = 0; x < w; x++) pixels[to++] = colours[values[i++] & 255];
      }
    }
    canvas.getContext("2d").putImageData(lane.image, 0, 0);
    if (under?.lane === lane) enlarge();
  }

  // w.x + b = 0, with a tick on the side where the unit's sum is positive.
  function drawLines(lane, values) {
    const { shape, scale, bias } = lane.view;
    const side = lane.width;
    const paint = sharp(lane.canvas, side, side);
    const [x0, x1, y0, y1] = plane.range;
    const unitX = side / (x1 - x0);
    const unitY = side / (y1 - y0);
    const middle = [(x0 + x1) / 2, (y0 + y1) / 2];
    const reach = Math.hypot(x1 - x0, y1 - y0);
    paint.lineCap = "round";
    for (let unit = 0; unit < shape[0]; unit++) {
      const wx = (values[2 * unit] / 127) * scale;
      const wy = (values[2 * unit + 1] / 127) * scale;
      const length = Math.hypot(wx, wy);
      if (length < scale / 127) continue;
      const strength = Math.min(1, length / scale);
      const b = bias ? bias[unit] : 0;
      // The point of the line that is nearest to the middle of the picture.
      const off = (wx * middle[0] + wy * middle[1] + b) / length ** 2;
      const px = middle[0] - off * wx;
      const py = middle[1] - off * wy;
      const dx = (-wy / length) * reach;
      const dy = (wx / length) * reach;
      const at = (x, y) => [(x - x0) * unitX, (y1 - y) * unitY];
      paint.strokeStyle = css(diverging(1), 0.25 + 0.65 * strength);
      paint.lineWidth = 0.8 + 2 * strength;
      paint.beginPath();
      paint.moveTo(...at(px - dx, py - dy));
      paint.lineTo(...at(px + dx, py + dy));
      const [cx, cy] = at(px, py);
      const tick = 5 + 9 * strength;
      paint.moveTo(cx, cy);
      paint.lineTo(cx + (wx / length) * tick, cy - (wy / length) * tick);
      paint.stroke();
    }
  }

  function frame(state, message) {
    message.lanes.forEach((told, k) => {
      const view = told.views?.weights;
      if (!view || !lanes[k]) return;
      lanes[k].view = view;
      draw(lanes[k]);
    });
  }

  onScheme(() => {
    for (const lane of lanes) {
      if (plane && lane.width) points(lane.under, plane, lane.width, { faint: true });
      draw(lane);
    }
  });
  return { race, frame };
}
