// Draw a digit; every lane reads it, while one draws and as the networks learn.
import { element, newest, write } from "./dom.js";
import { base64, bytes, isDark, laneName, onScheme, onWidth, percent, say, sharp } from "./paint.js";

const SIDE = 112; // pixels of the picture that is sent
const BRUSH = 0.13; // the width of a stroke, as a share of the digit's longer side: as in MNIST
const WAIT = 100; // milliseconds between two readings while one draws
const AGAIN = 400; // and while the networks learn

const HINT = "Draw with the mouse, a finger or a pen.";

export function create(root, context) {
  let strokes = []; // [[[x, y], ...], ...] in shares of the pad's side
  let example = null; // the number of a test example that is shown in the place of a drawing
  let lanes = [];
  let width = 0;
  let last = 0; // when something was read
  let timer = 0;

  const pad = element("canvas", { class: "draw-pad", role: "img", tabindex: 0 });
  const seen = element("canvas", { class: "draw-seen pixels", role: "img", width: 28, height: 28 });
  const clear = element("button", { type: "button" }, "Clear");
  const undo = element("button", { type: "button" }, "Undo");
  const number = element("input", { type: "number", min: 0, value: 0, id: "draw-example", inputmode: "numeric" });
  const next = element("button", { type: "button", "aria-label": "The next test example" }, "Next");
  const truth = element("p", { class: "draw-truth", role: "status" }, HINT);
  const readings = element("div", { class: "draw-readings" });
  const box = element("div", { class: "draw-box" }, pad);
  const shown = element("figure", {}, seen, element("figcaption", {}, "as the networks see it"));
  const row = (...parts) => element("div", { class: "draw-row" }, ...parts);
  const tools = element(
    "div",
    { class: "draw-tools" },
    row(shown, element("div", { class: "draw-buttons" }, undo, clear)),
    row(element("label", { for: "draw-example" }, "or test example"), number, next),
    truth,
  );
  root.append(element("div", { class: "draw" }, box, tools, readings));
  say(pad, "a pad to draw a digit on: empty");
  say(seen, "what the networks see: nothing yet");

  // ------------------------------------------------------------ drawing
  let stroke = null;
  const place = (event) => {
    const at = pad.getBoundingClientRect();
    return [(event.clientX - at.left) / at.width, (event.clientY - at.top) / at.height];
  };
  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || stroke) return;
    event.preventDefault();
    pad.focus({ preventScroll: true });
    pad.setPointerCapture(event.pointerId);
    if (example !== null) forget();
    stroke = { id: event.pointerId, points: [place(event)] };
    strokes.push(stroke.points);
    changed();
  });
  pad.addEventListener("pointermove", (event) => {
    if (stroke?.id !== event.pointerId) return;
    const parts = event.getCoalescedEvents?.() ?? [];
    for (const part of parts.length ? parts : [event]) {
      const point = place(part);
      const before = stroke.points.at(-1);
      if (Math.hypot(point[0] - before[0], point[1] - before[1]) > 0.004) stroke.points.push(point);
    }
    changed();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    pad.addEventListener(name, (event) => {
      if (stroke?.id !== event.pointerId) return;
      stroke = null;
      changed();
    });
  }
  pad.addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "Delete" || event.key === "Backspace") forget();
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) takeBack();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  clear.onclick = () => forget();
  undo.onclick = () => takeBack();
  const showExample = (index) => {
    forget();
    example = Math.max(0, Math.floor(index) || 0);
    number.value = example;
    ask();
  };
  next.onclick = () => showExample((example ?? number.valueAsNumber - 1) + 1);
  number.addEventListener("change", () => showExample(number.valueAsNumber));
  number.addEventListener("keydown", (event) => {
    event.stopPropagation(); // digits and arrows are for this field
    if (event.key === "Enter") showExample(number.valueAsNumber);
  });

  function takeBack() {
    if (example !== null) return forget();
    strokes.pop();
    if (strokes.length) changed();
    else forget();
  }

  function forget() {
    strokes = [];
    stroke = null;
    example = null;
    clearTimeout(timer);
    timer = 0;
    paint();
    seen.getContext("2d").clearRect(0, 0, seen.width, seen.height);
    say(seen, "what the networks see: nothing yet");
    say(pad, "a pad to draw a digit on: empty");
    write(truth, HINT);
    for (const lane of lanes) tell(lane, null, null);
  }

  function changed() {
    paint();
    say(pad, () => `a pad to draw a digit on: ${strokes.length} ${strokes.length === 1 ? "stroke" : "strokes"}`);
    soon(WAIT);
  }

  // A smooth line through the points: curves whose corners are the points, through the middles between.
  function line(to, points, size, left, top) {
    const at = ([x, y]) => [(x - left) * size, (y - top) * size];
    to.beginPath();
    to.moveTo(...at(points[0]));
    for (let i = 1; i < points.length - 1; i++) {
      const [x, y] = at(points[i]);
      const [nextX, nextY] = at(points[i + 1]);
      to.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    const [x, y] = at(points.at(-1));
    to.lineTo(x, y + (points.length === 1 ? 0.01 : 0));
    to.stroke();
  }

  function paint() {
    if (!width) return;
    const to = sharp(pad, width, width);
    to.lineCap = to.lineJoin = "round";
    if (!strokes.length) {
      // Two faint lines: how large a digit should be.
      to.strokeStyle = isDark() ? "rgb(255 255 255 / .14)" : "rgb(0 0 0 / .1)";
      to.lineWidth = 1;
      to.setLineDash([4, 6]);
      to.strokeRect(0.24 * width, 0.12 * width, 0.52 * width, 0.76 * width);
      to.setLineDash([]);
    }
    to.strokeStyle = isDark() ? "#f2f4f7" : "#16191d";
    to.lineWidth = 0.085 * width;
    for (const points of strokes) line(to, points, width, 0, 0);
  }
  onWidth(box, (w) => {
    width = w;
    paint();
  });
  onScheme(paint);

  // What is sent: the strokes, so large that they fill the picture, and as thick as MNIST's.
  const hidden = element("canvas", { width: SIDE, height: SIDE });
  const paper = hidden.getContext("2d", { willReadFrequently: true });
  function picture() {
    const all = strokes.flat();
    const xs = all.map((point) => point[0]);
    const ys = all.map((point) => point[1]);
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const extent = Math.max(right - left, bottom - top, 0.1);
    const size = (0.76 * SIDE) / extent;
    paper.fillStyle = "black";
    paper.fillRect(0, 0, SIDE, SIDE);
    paper.strokeStyle = "white";
    paper.lineCap = paper.lineJoin = "round";
    paper.lineWidth = BRUSH * 0.76 * SIDE;
    const margin = SIDE / 2 / size;
    for (const points of strokes) {
      line(paper, points, size, (left + right) / 2 - margin, (top + bottom) / 2 - margin);
    }
    const colours = paper.getImageData(0, 0, SIDE, SIDE).data;
    return Uint8Array.from({ length: SIDE * SIDE }, (_, i) => colours[4 * i]);
  }

  // ------------------------------------------------------------ reading
  function soon(wait) {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      ask();
    }, Math.max(0, last + wait - performance.now()));
  }

  const ask = newest(async () => {
    if (!strokes.length && example === null) return;
    last = performance.now();
    const drawing = strokes;
    const order =
      example === null
        ? { do: "read", pixels: base64(picture()), side: SIDE }
        : { do: "example", index: example };
    let found;
    try {
      found = await context.send(order);
    } catch (error) {
      return write(truth, error.message);
    }
    if (drawing !== strokes) return; // it was wiped off meanwhile
    const label = found.label ?? null;
    if (label === null) write(truth, "");
    else write(truth, `Test example ${found.index} of ${found.count}: it is a ${label}.`);
    if (found.count) number.max = found.count - 1;
    reveal(found);
    found.lanes.forEach((said, k) => lanes[k] && tell(lanes[k], said?.probabilities ?? null, label));
  });

  function reveal({ image, side }) {
    const grey = bytes(image);
    if (seen.width !== side) seen.width = seen.height = side;
    const to = seen.getContext("2d");
    const pixels = to.createImageData(side, side);
    grey.forEach((value, i) => {
      pixels.data.fill(value, 4 * i, 4 * i + 3);
      pixels.data[4 * i + 3] = 255;
    });
    to.putImageData(pixels, 0, 0);
    const ink = grey.reduce((n, value) => n + (value > 127), 0);
    say(seen, `what the networks see: ${side} times ${side} pixels, ${ink} of them are ink`);
  }

  function tell(lane, probabilities, label) {
    const { classes } = context.state;
    let best = 0;
    probabilities?.forEach((p, k) => {
      if (p > probabilities[best]) best = k;
    });
    lane.bars.forEach(({ bar, fill }, k) => {
      fill.style.transform = `scaleY(${probabilities?.[k] ?? 0})`;
      bar.title = probabilities ? `${classes[k]}: ${percent(probabilities[k])}` : "";
      bar.classList.toggle("best", Boolean(probabilities) && k === best);
    });
    const verdict = label === null || !probabilities ? "" : best === label ? "right" : "wrong";
    const sign = { right: " ✓", wrong: " ✗" }[verdict] ?? "";
    lane.reading.dataset.verdict = verdict;
    write(lane.winner, probabilities ? String(classes[best]) : "–");
    write(lane.sure, probabilities ? percent(probabilities[best]) + sign : "");
    const words = probabilities
      ? `${lane.name} reads ${classes[best]}, probability ${percent(probabilities[best])}${verdict && `, which is ${verdict}`}`
      : `${lane.name} reads nothing`;
    say(lane.chart, words);
  }

  function race(state) {
    lanes = state.lanes.map((lane) => {
      const name = laneName(lane);
      const bars = state.classes.map((label) => {
        const fill = element("i");
        const track = element("span", { class: "track" }, fill);
        return { fill, bar: element("span", {}, track, element("b", {}, label)) };
      });
      const chart = element("div", { class: "draw-bars", role: "img" }, ...bars.map(({ bar }) => bar));
      const winner = element("strong", {}, "–");
      const sure = element("span", { class: "draw-sure" });
      const title = element("span", { class: "draw-name", title: name }, name);
      const reading = element("div", { class: "draw-reading" }, winner, title, sure, chart);
      reading.style.setProperty("--lane", context.colours().lanes[lane.look]);
      return { reading, look: lane.look, chart, bars, winner, sure, name };
    });
    readings.dataset.count = lanes.length;
    readings.replaceChildren(...lanes.map((lane) => lane.reading));
    for (const lane of lanes) tell(lane, null, null);
    if (strokes.length || example !== null) soon(0);
  }
  onScheme(() => {
    for (const lane of lanes) lane.reading.style.setProperty("--lane", context.colours().lanes[lane.look]);
  });

  let step = null;
  function frame(state) {
    if (state.step === step) return;
    step = state.step;
    if ((strokes.length || example !== null) && !stroke) soon(AGAIN);
  }

  return {
    race,
    frame,
    shown: (on) => on && (strokes.length || example !== null) && soon(0),
  };
}
