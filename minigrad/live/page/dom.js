// Small helpers for elements. Text from messages goes in as text, never as HTML.

// element("button", {class: "quiet", "aria-label": "Close", onclick: f}, "text", child, ...)
export function element(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made[key] = value;
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  play: "M8 5.2v13.6a.8.8 0 0 0 1.2.7l11-6.8a.8.8 0 0 0 0-1.4l-11-6.8a.8.8 0 0 0-1.2.7z",
  pause: "M7 4.5h3.4v15H7zM13.6 4.5H17v15h-3.4z",
  step: "M5 5.2v13.6a.8.8 0 0 0 1.2.7l9.4-6.8a.8.8 0 0 0 0-1.4L6.2 4.5a.8.8 0 0 0-1.2.7zM16.6 4.5h2.8v15h-2.8z",
};
// Icons that are drawn as lines.
const LINES = {
  restart: "M4.5 12a7.5 7.5 0 1 0 2.4-5.5M4 3.6v4.2h4.2",
  seed: "M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",
  settings: "M4 7h9M19 7h1M4 12h1M11 12h9M4 17h7M17 17h3M16 4.8v4.4M8 9.8v4.4M14 14.8v4.4",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  close: "M6 6l12 12M18 6L6 18",
  add: "M12 5v14M5 12h14",
  down: "M6 9.5l6 6 6-6",
  help: "M9 9.2a3 3 0 1 1 4.6 2.6c-1 .6-1.6 1.2-1.6 2.4M12 17.6h.01",
};

export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("class", name in LINES ? "icon lines" : "icon");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", LINES[name] || ICONS[name]);
  made.append(path);
  return made;
}

// A line in a lane's colour and dashes: what the lane looks like in the curves.
export function sample(dash, width = 34) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", "sample");
  made.setAttribute("width", width);
  made.setAttribute("height", 4);
  made.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "line");
  const of = { x1: 0, y1: 2, x2: "100%", y2: 2, "stroke-dasharray": dash.join(" ") };
  for (const [key, value] of Object.entries(of)) line.setAttribute(key, value);
  made.append(line);
  return made;
}

// Text with indices: "W_l" and "W_{l+1}" become W with a small l or l+1.
export function formula(text) {
  const parts = text.split(/_(\{[^}]*\}|[\p{Ll}\p{Lu}\p{N}]+)/u);
  return parts.map((part, k) => (k % 2 ? element("sub", {}, part.replace(/[{}]/g, "")) : part));
}

export const byId = (name) => document.getElementById(name);

// Set text only where it differs: the browser then has nothing to lay out.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A number for people: 3 digits, no exponent where it is short without one.
export function short(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-4) {
    return value.toExponential(digits - 2).replace("e+", "e").replace(/\.?0+e/, "e");
  }
  return String(Number(value.toPrecision(digits)));
}

// Only one promise of `act` at a time. Of the calls meanwhile the newest is made, others are forgotten.
export function newest(act) {
  let busy = false;
  let waiting = null;
  return async function call(...given) {
    if (busy) {
      waiting = given;
      return;
    }
    busy = true;
    try {
      await act(...given);
    } finally {
      busy = false;
      if (waiting) {
        const next = waiting;
        waiting = null;
        call(...next);
      }
    }
  };
}
