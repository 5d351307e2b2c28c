// One weight: its gradient by the lane's rule, by backprop and by a difference quotient.
import { element, icon } from "./dom.js";
import { draw } from "./inside-svg.js";
import { formula, sentence } from "./inside-text.js";

export class Weight {
  constructor(root, context, on) {
    this.context = context;
    this.on = on;
    this.key = null;
    this.chooser = element("select", { "aria-label": "Weight" });
    this.chooser.onchange = () => this.open(this.chooser.value, this.asked, this.data);
    const close = element("button", { type: "button", class: "quiet round", "aria-label": "Close the comparison" }, icon("close"));
    close.onclick = () => this.close();
    this.take = element("button", { type: "button" }, "Take it as the direction");
    this.take.onclick = () => on.direction(this.key);
    this.rows = element("div", { class: "inside-ways" });
    this.words = element("div", { class: "inside-verdict", role: "status" });
    this.card = element(
      "section",
      { class: "inside-weight-card", "aria-label": "One weight, three gradients", hidden: true },
      element("header", {}, element("h3", {}, "One weight, three ways"), this.chooser, close),
      this.rows,
      this.words,
      this.take,
    );
    root.append(this.card);
  }

  close() {
    this.card.hidden = true;
    this.key = null;
    this.on.chosen(null);
  }

  // The network has changed: ask again.
  renew(data) {
    this.data = data;
    if (this.key) this.open(this.key, this.asked, data);
  }

  async open(key, asked, data) {
    this.key = key;
    this.asked = asked;
    this.data = data;
    this.fillChooser();
    this.on.chosen(key);
    try {
      const order = { do: "inside_weight", lane: asked.lane, example: asked.example, key };
      const found = await this.context.send(order);
      if (this.key === key) this.show(found);
    } catch (error) {
      this.rows.replaceChildren(element("p", {}, error.message));
      this.words.replaceChildren();
      this.card.hidden = false;
    }
  }

  fillChooser() {
    const keys = Object.keys(this.data.names).filter((key) => "Wb".includes(key[0]));
    const made = keys.map((key) => {
      const kind = key[0] === "W" ? "weight" : "bias";
      return element("option", { value: key }, `${kind} ${this.data.names[key]}`);
    });
    this.chooser.replaceChildren(...made);
    this.chooser.value = this.key;
  }

  show(found) {
    const lane = this.context.state.lanes[this.asked.lane];
    const several = found.estimates.length > 1;
    const ways = [
      ["backprop", "Backprop", found.backprop, found.text.backprop, "the chain rule, backward"],
      [
        "difference",
        "Difference quotient",
        found.difference,
        found.text.difference,
        `L with the weight ${found.step} larger, and smaller: ${found.text.quotient}`,
      ],
    ];
    const rule = lane?.title || "the rule";
    if (found.estimates.length) {
      const about = several
        ? `its next estimate. ${found.estimates.length} of them: mean ${found.text.mean}, spread ${found.text.spread}`
        : "its estimate from this example";
      ways.push(["rule", `This lane: ${rule}`, found.estimates[0], found.text.estimate, about]);
    }
    const head = element(
      "p",
      { class: "inside-of-weight" },
      formula(found.symbol),
      ` = ${found.text.value}. Its gradient `,
      formula(found.slope),
      ", from this example alone:",
    );
    const table = element("table");
    for (const [name, title, , text, about] of ways) {
      table.append(
        element(
          "tr",
          { class: `inside-way-${name}` },
          element("th", { scope: "row" }, title, element("small", {}, about)),
          element("td", {}, formula(text)),
        ),
      );
    }
    this.rows.replaceChildren(head, table, axis(found));
    this.words.replaceChildren(...found.words.map((text) => element("p", {}, sentence(text))));
    this.card.hidden = false;
  }
}

// All the numbers on one line: backprop a bar, the quotient a ring, the rule's estimates dots.
function axis(found) {
  const values = [0, found.backprop, found.difference, ...found.estimates].filter((v) => v !== null);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = (most - least) * 0.08 || 1;
  const x = (value) => 10 + ((value - least + room) / (most - least + 2 * room)) * 480;
  const svg = draw("svg", { viewBox: "0 0 500 64", class: "inside-axis", role: "img" });
  svg.setAttribute("aria-label", "The same numbers on one line; the words below say what differs.");
  svg.append(draw("line", { x1: 10, x2: 490, y1: 34, y2: 34, class: "inside-axis-line" }));
  svg.append(draw("line", { x1: x(0), x2: x(0), y1: 26, y2: 42, class: "inside-axis-line" }));
  svg.append(draw("text", { x: x(0), y: 58 }, "0"));
  found.estimates.forEach((value, n) => {
    const first = n === 0 ? " inside-first" : "";
    if (value !== null) svg.append(draw("circle", { cx: x(value), cy: 34, r: n ? 5 : 7, class: `inside-estimate${first}` }));
  });
  if (found.estimates.length > 1 && found.mean !== null) {
    const at = x(found.mean);
    svg.append(draw("path", { d: `M${at} 22l-6 -9h12z`, class: "inside-mean" }), draw("text", { x: at, y: 11 }, "mean"));
  }
  svg.append(draw("line", { x1: x(found.backprop), x2: x(found.backprop), y1: 18, y2: 50, class: "inside-true" }));
  svg.append(draw("circle", { cx: x(found.difference), cy: 34, r: 9, class: "inside-quotient" }));
  return svg;
}
