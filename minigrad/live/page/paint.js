// What the views share: bytes from text, colours, sharp canvases, panels of lanes, words for screen readers.
import { onScheme } from "./colours.js";
import { element, short as inDigits } from "./dom.js";

/** Base64 as bytes. */
export function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const found = new Uint8Array(characters.length);
  for (let i = 0; i < found.length; i++) found[i] = characters.charCodeAt(i);
  return found;
}

/** Base64 as bytes with a sign. */
export const signed = (text) => new Int8Array(bytes(text).buffer);

/** Bytes as base64. */
export function base64(of) {
  if (of.toBase64) return of.toBase64();
  let characters = "";
  for (let i = 0; i < of.length; i += 8192) {
    characters += String.fromCharCode(...of.subarray(i, i + 8192));
  }
  return btoa(characters);
}

const scheme = matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => scheme.matches;
export { onScheme };

// Blue, white (black in the dark), red: they differ for all kinds of colour blindness.
const DIVERGING = {
  light: [[8, 69, 148], [82, 151, 208], [255, 255, 255], [232, 116, 86], [153, 0, 13]],
  dark: [[138, 196, 255], [38, 104, 176], [20, 22, 26], [184, 66, 42], [255, 160, 124]],
};
// Paper, and the classes: a colour and a marker each.
const PAPER = { light: [255, 255, 255], dark: [24, 27, 32] };
export const CLASSES = [
  { colour: [224, 123, 0], marker: "circle" },
  { colour: [30, 98, 190], marker: "square" },
  { colour: [0, 140, 110], marker: "triangle" },
  { colour: [150, 80, 180], marker: "diamond" },
];
export const classOf = (k) => CLASSES[k % CLASSES.length];
export const css = ([r, g, b], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`;
export const MARKERS = { circle: "●", square: "■", triangle: "▲", diamond: "◆" };

const mixed = (a, b, t) => a.map((value, i) => Math.round(value + (b[i] - value) * t));
const packed = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0; // little-endian
const kept = new Map();
function once(name, make) {
  const key = `${name} ${isDark()}`;
  if (!kept.has(key)) kept.set(key, make(isDark() ? "dark" : "light"));
  return kept.get(key);
}

/** The colour of t in -1..1, as [r, g, b]. */
export function diverging(t, kind = isDark() ? "dark" : "light") {
  const place = (Math.max(-1, Math.min(1, t)) + 1) * 2;
  const i = Math.min(3, Math.floor(place));
  return mixed(DIVERGING[kind][i], DIVERGING[kind][i + 1], place - i);
}

/** 256 colours for bytes: of signed ones at index byte & 255, 127 stands for 1. */
export const signedColours = () =>
  once("signed", (kind) =>
    Uint32Array.from({ length: 256 }, (_, i) => packed(diverging((i < 128 ? i : i - 256) / 127, kind))),
  );

/** 256 colours for bytes that go from -1 (0) to 1 (255). */
export const byteColours = () =>
  once("bytes", (kind) => Uint32Array.from({ length: 256 }, (_, i) => packed(diverging(i / 127.5 - 1, kind))),
  );

/** 256 colours of a class, by the confidence in it: the paler, the less. */
export const classColours = (k, classes) =>
  once(`class ${k} of ${classes}`, (kind) =>
    Uint32Array.from({ length: 256 }, (_, i) => {
      const sure = Math.max(0, (i / 255 - 1 / classes) / (1 - 1 / classes));
      return packed(mixed(PAPER[kind], classOf(k).colour, 0.08 + 0.67 * sure));
    }),
  );

/** A canvas of w x h CSS pixels that is sharp on every screen. Returns its context, in CSS pixels. */
export function sharp(canvas, w, h) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(w * ratio);
  const height = Math.round(h * ratio);
  const context = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, w, h);
  return context;
}

const spoken = new WeakMap(); // element -> {at, text, timer}
/** What an element shows, in words, for screen readers: at most once a second, and the last is said. */
export function say(of, words) {
  const state = spoken.get(of) ?? { at: -Infinity, timer: 0, words };
  spoken.set(of, state);
  state.words = words;
  if (state.timer) return;
  const set = () => {
    state.timer = 0;
    state.at = performance.now();
    of.setAttribute("aria-label", typeof state.words === "function" ? state.words() : state.words);
  };
  const wait = state.at + 1000 - performance.now();
  if (wait <= 0) set();
  else state.timer = setTimeout(set, wait);
}

export const laneName = (lane) => lane.label || lane.title || lane.rule;

/** A panel in each lane's card, for the view `name`. */
// What needs a title in a card: the others show by themselves what they are.
const TITLES = {
  cosine: "cosine with the gradient, by layer",
  recall: "recall: the share of each class that is found",
  units: "hidden units over the plane",
};

export function panels(context, name, lanes) {
  return lanes.map((_, k) => {
    const panel = element("div", { class: `looks-at looks-at-${name}` });
    const title = TITLES[name];
    context.lane(k).slot(name).replaceChildren(...(title ? [element("h3", { class: "looks-title" }, title)] : []), panel);
    return panel;
  });
}

/** Call draw(width) now and whenever the element's width changes. */
export function onWidth(of, draw) {
  let last = -1;
  const observer = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width > 0 && width !== last) draw((last = width));
  });
  observer.observe(of);
  return observer;
}

/** A marker of a class at (x, y), r pixels large. Only the path. */
export function marker(context, kind, x, y, r) {
  context.beginPath();
  if (kind === "circle") context.arc(x, y, r, 0, 2 * Math.PI);
  else if (kind === "square") context.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (kind === "triangle") {
    context.moveTo(x, y - r * 1.2);
    context.lineTo(x + r * 1.1, y + r * 0.8);
    context.lineTo(x - r * 1.1, y + r * 0.8);
  } else {
    context.moveTo(x, y - r * 1.25);
    context.lineTo(x + r * 1.25, y);
    context.lineTo(x, y + r * 1.25);
    context.lineTo(x - r * 1.25, y);
  }
  context.closePath();
}

/** The training points of a set in the plane. Those whose label was drawn anew have a ring. */
export function points(canvas, plane, side, { faint = false } = {}) {
  const context = sharp(canvas, side, side);
  const [x0, x1, y0, y1] = plane.range;
  const noisy = new Set(plane.noisy ?? []);
  const r = Math.max(1.3, Math.min(4, side / 95));
  const halo = isDark() ? "rgb(10 12 15 / .9)" : "rgb(255 255 255 / .95)";
  context.globalAlpha = faint ? 0.35 : 1;
  plane.x.forEach(([px, py], i) => {
    const x = ((px - x0) / (x1 - x0)) * side;
    const y = ((y1 - py) / (y1 - y0)) * side;
    const { colour, marker: kind } = classOf(plane.y[i]);
    marker(context, kind, x, y, r);
    context.lineWidth = r / 2;
    context.strokeStyle = halo;
    context.stroke();
    context.fillStyle = css(isDark() ? mixed(colour, [255, 255, 255], 0.25) : mixed(colour, [0, 0, 0], 0.12));
    context.fill();
    if (!noisy.has(i)) return;
    context.beginPath();
    context.arc(x, y, 1.7 * r, 0, 2 * Math.PI);
    context.lineWidth = Math.max(1, r / 2.4);
    context.strokeStyle = isDark() ? "white" : "black";
    context.stroke();
  });
  context.globalAlpha = 1;
}

/** A number in two digits. */
export const short = (value) => inDigits(value, 2).replace("-", "−");

export const percent = (share) => `${Math.round(100 * share)} %`;
