// Formulas: text with z^{(1)}_{2} for indices and [a|b] for fractions, as elements.
import { element } from "./dom.js";

// formula(text) -> a <span>; spoken: screen readers get it as one line of text
export function formula(text, spoken = false) {
  const made = element("span", { class: "inside-formula" });
  made.append(...parsed(text));
  if (!spoken) return made;
  made.setAttribute("aria-hidden", "true");
  return element("span", {}, made, element("span", { class: "inside-unseen" }, plain(text)));
}

// Words with symbols in them.
export function sentence(text) {
  const made = element("span");
  let rest = text;
  // A symbol is a letter with indices, or a fraction.
  const symbol = /(\[[^\]]*\|[^\]]*\]|[\p{L}\p{M}′]+(?:[_^]\{(?:[^{}]|\{[^{}]*\})*\})+)/u;
  for (let at = rest.search(symbol); at >= 0; at = rest.search(symbol)) {
    const [found] = rest.match(symbol);
    made.append(rest.slice(0, at), formula(found));
    rest = rest.slice(at + found.length);
  }
  made.append(rest);
  return made;
}

// One line of text, for a screen reader, a title or a list.
export function plain(text) {
  let said = text.replace(/\[([^|\]]*)\|([^\]]*)\]/g, "$1/$2");
  for (let before = null; before !== said; ) {
    before = said;
    said = said.replace(/\^\{(\(\d+\))\}/g, "$1");
    said = said.replace(/_\{([^{}]*)\}/g, "$1");
    said = said.replace(/\^\{([^{}]*)\}/g, "^($1)");
  }
  return said;
}

function parsed(text) {
  const found = [];
  let at = 0;
  const block = (open, close) => {
    let depth = 1;
    const start = ++at;
    for (; at < text.length && depth; at++) {
      if (text[at] === open) depth++;
      else if (text[at] === close) depth--;
    }
    return text.slice(start, at - 1);
  };
  while (at < text.length) {
    const here = text[at];
    if ((here === "^" || here === "_") && text[at + 1] === "{") {
      const marks = {};
      while ((text[at] === "^" || text[at] === "_") && text[at + 1] === "{") {
        const kind = text[at] === "^" ? "sup" : "sub";
        at++;
        marks[kind] = block("{", "}");
      }
      const both = marks.sup !== undefined && marks.sub !== undefined;
      const parts = Object.entries(marks).map(([kind, of]) => element(kind, {}, ...parsed(of)));
      found.push(both ? element("span", { class: "inside-both" }, ...parts) : parts[0]);
    } else if (here === "[") {
      const [above, below] = block("[", "]").split("|");
      const over = element("span", { class: "inside-over" }, ...parsed(above));
      const under = element("span", { class: "inside-under" }, ...parsed(below));
      found.push(element("span", { class: "inside-fraction" }, over, under));
    } else {
      const word = text.slice(at).match(/^(∂\p{M}*|[\p{L}\p{M}]+)/u);
      if (word) {
        const letters = word[0].normalize("NFD").replace(/\p{M}/gu, "");
        found.push(letters.length === 1 ? letter(word[0].normalize("NFD")) : word[0]);
        at += word[0].length;
      } else {
        found.push(here);
        at++;
      }
    }
  }
  return found;
}

// A letter. A dot or a hat over it is drawn here: few fonts have all of them.
function letter(text) {
  const mark = { "\u0307": "inside-dotted", "\u0302": "inside-hat" }[text[1]];
  const tall = /[A-Zbdfhklt∂]/.test(text[0]) ? " inside-tall" : "";
  return element("i", { class: mark && mark + tall }, text[0]);
}

// symbol = formula = numbers = value, as a row of a grid.
export function line(of, kind) {
  const row = element("div", { class: "inside-line" });
  const equal = (...parts) => element("span", { class: "inside-part" }, "= ", ...parts);
  row.append(formula(of.symbol));
  const rest = element("span", { class: "inside-rest" });
  if (of.formula) rest.append(equal(formula(of.formula)), " ");
  if (of.numbers) rest.append(equal(formula(of.numbers)), " ");
  const value = element("strong", { class: `inside-value inside-${kind}` }, formula(of.text));
  if (of.value !== null) value.title = String(of.value);
  rest.append(equal(value));
  row.append(rest);
  return row;
}

export function lineAsText(of) {
  return [of.symbol, of.formula, of.numbers, of.text].filter(Boolean).map(plain).join(" = ");
}
