// What is said of a step: formulas and sentences, aloud, and in the list of all steps.
import { element } from "./dom.js";
import { formula, line, lineAsText, plain, sentence } from "./inside-text.js";

// What forward mode has at the end, while the left goes back.
export function finished(inside) {
  const last = inside.data.steps.findLast((step) => step.phase === "forward");
  return { lines: last.right.lines, words: "Forward mode has its answer already: one slope, and nothing goes back." };
}

export function say(inside, root, side, kind, step) {
  const rows = side.lines.map((of) => line(of, kind));
  const long = side.lines.some((of) => of.numbers.length > 34);
  const lines = element("div", { class: `inside-lines${rows.length > 2 ? " inside-many" : ""}${rows.length > 5 ? " inside-most" : ""}${long ? " inside-long" : ""}` });
  lines.append(...rows);
  const words = element("p", { class: "inside-words" }, sentence(side.words));
  root.replaceChildren(lines, words);
  if (root === inside.left.says && inside.data.backward === "rule" && step.phase === "backward") {
    words.classList.add("inside-of-rule");
  }
}

export function aloud(inside, step) {
  const parts = [step.title];
  for (const side of [step.left, step.right]) {
    parts.push(...side.lines.map(lineAsText), plain(side.words));
  }
  return parts.filter(Boolean).join(". ");
}

// All steps in words, for whoever does not look at pictures.
export function writeList(inside) {
  if (!inside.more.open || !inside.data) return;
  const { steps } = inside.data;
  inside.list.replaceChildren(
    ...steps.map((step, n) => {
      const item = element("li", {}, element("strong", {}, plain(step.title)));
      for (const [name, side] of [["", step.left], ["Forward mode: ", step.right]]) {
        for (const of of side.lines) {
          item.append(element("div", {}, name, formula(asText(of), true)));
        }
        if (side.words) item.append(element("div", { class: "inside-soft" }, sentence(side.words)));
      }
      for (const [what, meaning] of inside.defined[n]) {
        item.append(element("div", { class: "inside-soft" }, formula(what), ": ", sentence(meaning)));
      }
      item.classList.toggle("inside-here", n === inside.at);
      return item;
    }),
  );
}

// symbol = formula = numbers = value, as one formula.
function asText(of) {
  return [of.symbol, of.formula, of.numbers, of.text].filter(Boolean).join(" = ");
}

// A definition is shown where its symbol comes up first.
export function firsts(steps) {
  const seen = new Set();
  return steps.map((step) =>
    step.defines.filter(([name]) => {
      const is = seen.has(name);
      seen.add(name);
      return !is;
    }),
  );
}
