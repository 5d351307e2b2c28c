// The colours of the scheme, from style.css, for what is drawn on a canvas.

const NAMES = ["text", "soft", "line", "ground", "card", "accent"];
// The lines of the lanes: solid, dashed, dotted, ... Pixels at a width of 3.
export const DASHES = [[], [11, 5], [3, 4], [14, 4, 3, 4], [7, 3], [14, 4, 3, 4, 3, 4]];

let known = null;

export function colours() {
  if (known) return known;
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  known = Object.fromEntries(NAMES.map((name) => [name, of(name)]));
  known.lanes = [0, 1, 2, 3, 4, 5].map((k) => of(`lane-${k}`));
  known.inks = [0, 1, 2, 3, 4, 5].map((k) => of(`ink-${k}`));
  known.dashes = DASHES;
  known.font = getComputedStyle(document.body).fontFamily;
  known.size = Number.parseFloat(style.fontSize);
  return known;
}

// Call `changed` when the scheme becomes dark or light, or letters grow.
export function onScheme(changed) {
  const renew = () => {
    known = null;
    changed();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", renew);
  window.addEventListener("scheme", renew);
  let size = 0;
  window.addEventListener("resize", () => {
    const now = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    if (now !== size) renew();
    size = now;
  });
}
