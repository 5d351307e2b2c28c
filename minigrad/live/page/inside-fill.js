// The choices of "Inside one step", for the example that has come: lanes, what goes back, directions.
import { element, write } from "./dom.js";
import { button } from "./inside-parts.js";
import { firsts, writeList } from "./inside-words.js";

export function fill(inside) {
  const { data, context } = inside;
  const lanes = context.state.lanes;
  const options = lanes.map((lane, k) => {
    const option = element("option", { value: k }, `Lane ${k + 1}: ${lane.label || lane.title}`);
    option.disabled = lane.status === "left out";
    return option;
  });
  inside.lane.replaceChildren(...options);
  inside.lane.value = String(data.lane);
  inside.lane.hidden = lanes.length < 2;
  write(inside.example, `Example ${data.example + 1} of ${data.examples}`);
  const backs = [element("option", { value: "backprop" }, "by backprop")];
  if (data.instead?.drawn) {
    backs.push(element("option", { value: "rule" }, `as ${lanes[data.lane].title} does`));
  }
  inside.backward.replaceChildren(...backs);
  inside.backward.value = data.backward;
  inside.backward.hidden = backs.length < 2;
  fillInstead(inside, lanes[data.lane].title);
  const own = data.direction;
  const ways = [];
  const one = own[0] === "W" || own[0] === "b" ? own : "W1.1.1";
  ways.push([one, `one weight: ${data.names[one]}`]);
  const seed = own.startsWith("random") ? Number(own.split(":")[1] || 0) : 0;
  ways.push([`random:${seed}`, "a random direction"]);
  if (own.startsWith("random")) ways.push([`random:${seed + 1}`, "another random direction"]);
  if (data.has_direction) ways.push(["rule", "this rule's next direction"]);
  const choices = ways.map(([value, text]) => element("option", { value }, text));
  inside.direction.replaceChildren(...choices);
  inside.direction.value = own;
  inside.slider.max = String(data.steps.length - 1);
  inside.slider.setAttribute("max", data.steps.length - 1);
  fillChapters(inside);
  inside.tell();
  inside.defined = firsts(data.steps);
  writeList(inside);
}

// What the lane's rule does, if it is not backprop.
function fillInstead(inside, title) {
  const { data } = inside;
  inside.instead.hidden = !data.instead;
  if (!data.instead) return;
  const name = element("strong", {}, `${title[0].toUpperCase()}${title.slice(1)}: `);
  inside.instead.replaceChildren(name, data.instead.words);
  const rule = data.instead.drawn ? data.backward !== "rule" : data.direction !== "rule";
  if (data.instead.drawn) {
    const text = rule ? "Show its way back" : "Show backprop";
    const change = { backward: rule ? "rule" : "backprop" };
    inside.instead.append(" ", button(text, null, () => inside.ask(change, true)));
  } else if (data.has_direction && rule) {
    inside.instead.append(" ", button("See it", null, () => inside.ask({ direction: "rule" }, true)));
  }
}

function fillChapters(inside) {
  const names = { forward: "forward", backward: "backward", end: "compared" };
  const found = [];
  inside.data.steps.forEach((step, n) => {
    const last = found.at(-1);
    if (last?.phase === step.phase) last.size += 1;
    else found.push({ phase: step.phase, start: n, size: 1 });
  });
  const made = found.map(({ phase, start, size }) => {
    const text = phase === "end" ? "=" : names[phase];
    const go = button(text, `Go to: ${names[phase]}`, () => inside.go(start));
    go.className = `inside-chapter inside-phase-${phase}`;
    go.style.flexGrow = size;
    return go;
  });
  inside.chapters.replaceChildren(...made);
}
