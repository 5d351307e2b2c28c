// A slider with a number beside it. Both act at once: the newest value is sent, older ones are not.
import { element, newest, short, write } from "./dom.js";

let count = 0;

// label, get: value now; send(value) -> Promise; log: whether the slider is logarithmic
export function slider({ label, about, min, max, value, log = false, step, send }) {
  const id = `slider-${++count}`;
  const to = log ? Math.log10 : (x) => x;
  const from = log ? (x) => rounded(10 ** x) : (x) => Number(x.toFixed(4));
  const steps = log ? 0.05 : step;
  const range = element("input", {
    type: "range",
    id,
    min: to(min),
    max: to(max),
    step: steps,
    "aria-label": about,
    "aria-describedby": `${id}-error`,
  });
  const number = element("input", {
    type: "text",
    inputmode: "decimal",
    class: "number",
    "aria-label": `${about}, as a number`,
    "aria-describedby": `${id}-error`,
    autocomplete: "off",
    spellcheck: "false",
  });
  const error = element("p", { class: "error", id: `${id}-error`, role: "alert" });
  const name = element("label", { for: id }, label);
  const root = element("div", { class: "slider" }, name, range, number, error);
  let touched = 0; // while a hand is on it, the server's value does not move it

  function draw(now) {
    range.value = to(now);
    const share = (to(now) - to(min)) / (to(max) - to(min));
    range.style.setProperty("--share", `${Math.max(0, Math.min(1, share)) * 100}%`);
    range.setAttribute("aria-valuetext", short(now));
    if (document.activeElement !== number) number.value = short(now);
  }

  const tell = newest(async (now) => {
    try {
      await send(now);
      fail("");
    } catch (problem) {
      fail(problem.message);
    }
  });

  function fail(text) {
    write(error, text);
    number.setAttribute("aria-invalid", String(Boolean(text)));
  }

  range.oninput = () => {
    touched = performance.now();
    const now = from(Number(range.value));
    current = now;
    draw(now);
    number.value = short(now);
    tell(now);
  };
  const typed = () => {
    const text = number.value.trim().replace(",", ".");
    const now = Number(text);
    if (text === short(current)) return;
    if (!text || !Number.isFinite(now)) return fail(`a number is expected, not "${text}"`);
    touched = performance.now();
    current = now;
    draw(now);
    tell(now);
  };
  let current = value;
  number.onchange = typed;
  number.onkeydown = (event) => {
    if (event.key === "Enter") typed();
    if (event.key === "Escape") {
      number.value = short(current);
      fail("");
      number.blur();
    }
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      range[event.key === "ArrowUp" ? "stepUp" : "stepDown"]();
      range.oninput();
    }
  };
  draw(value);
  return {
    root,
    range,
    // The server's value.
    set(now) {
      if (now === current || performance.now() - touched < 1000) return;
      current = now;
      draw(now);
    },
  };
}

// Two digits are enough for a rate: 0.0316 is 0.032.
function rounded(value) {
  return Number(value.toPrecision(2));
}
