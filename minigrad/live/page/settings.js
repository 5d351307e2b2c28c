// The drawer with what starts the race anew: the network, the optimiser, noise, the seed.
import { byId, element, icon, write } from "./dom.js";

export class Settings {
  constructor(context) {
    this.context = context;
    this.fields = new Map();
    byId("set-up-close").append(icon("close"));
    byId("set-up-close").onclick = () => this.toggle(false);
    byId("drawer").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.toggle(false);
    });
  }

  toggle(on = byId("drawer").hidden) {
    byId("drawer").hidden = !on;
    document.body.classList.toggle("with-drawer", on);
    byId("set-up").setAttribute("aria-expanded", String(on));
    if (on) byId("set-up-close").focus();
    else byId("set-up").focus();
    dispatchEvent(new Event("resize"));
  }

  // Send settings that differ in some fields. `error` is where a refusal is told.
  async change(fields, error = null) {
    const before = this.context.state.settings;
    if (fields.optimizer && fields.optimizer !== before.optimizer) {
      fields = { ...fields, lanes: this.suited(before, fields.optimizer) };
    }
    const settings = { ...before, ...fields };
    try {
      await this.context.send({ do: "set", settings });
      if (error) write(error, "");
      return true;
    } catch (problem) {
      if (error) write(error, problem.message);
      else this.context.say(problem.message);
      return false;
    }
  }

  // The lanes for another optimiser: a rate that is good for SGD is not good for Adam. Each keeps
  // its ratio to the rate that one begins with.
  suited(settings, optimizer) {
    const rules = new Map((this.context.state.hello?.rules || []).map((rule) => [rule.name, rule]));
    return settings.lanes.map((lane) => {
      const rates = rules.get(lane.rule)?.rates;
      if (!rates) return lane;
      const lr = (lane.lr * rates[optimizer]) / rates[settings.optimizer];
      return { ...lane, lr: Number(Math.min(100, Math.max(1e-6, lr)).toPrecision(2)) };
    });
  }

  hello(state) {
    const hello = state.hello;
    const form = byId("form");
    form.replaceChildren(
      group(
        "The network",
        this.layers(),
        this.choice("activation", "activation", hello.activations || ["relu"]),
      ),
      group(
        "The training",
        this.choice("optimizer", "optimiser", hello.optimizers || ["sgd"]),
        this.number("batch_size", "batch size", { whole: true }),
        this.number("seed", "seed", { whole: true, about: "of weights, batches, data and rules" }),
      ),
      group(
        "The data",
        this.number("label_noise", "label noise", {
          about: "the share of training labels that are drawn anew, 0 to 1",
        }),
        this.number("data_noise", "noise of the points", {
          about: "standard deviation, for sets in the plane",
          plane: true,
        }),
      ),
    );
    if (state.settings) this.race(state);
  }

  race(state) {
    for (const draw of this.fields.values()) draw(state);
  }

  field(name, label, control, about) {
    const error = element("p", { class: "error", role: "alert", id: `error-${name}` });
    control.id = `set-${name}`;
    control.setAttribute("aria-describedby", error.id);
    const text = element("label", { for: control.id }, label);
    const row = element("div", { class: "row" }, text, control);
    if (about) row.append(element("p", { class: "about" }, about));
    row.append(error);
    return { row, error };
  }

  choice(name, label, values) {
    const options = values.map((value) => {
      const [key, title] = typeof value === "string" ? [value, value] : [value.name, value.title];
      return element("option", { value: key }, title);
    });
    const control = element("select", {}, ...options);
    const { row, error } = this.field(name, label, control);
    control.onchange = () => this.change({ [name]: control.value }, error);
    this.fields.set(name, (state) => {
      control.value = state.settings[name];
      write(error, "");
    });
    return row;
  }

  number(name, label, { whole = false, about, plane = false } = {}) {
    const control = element("input", { type: "text", inputmode: "decimal", autocomplete: "off" });
    const { row, error } = this.field(name, label, control, about);
    control.onchange = () => {
      const text = control.value.trim().replace(",", ".");
      const value = Number(text);
      const right = text && Number.isFinite(value) && (!whole || Number.isInteger(value));
      control.setAttribute("aria-invalid", String(!right));
      const kind = whole ? "a whole number" : "a number";
      if (right) this.change({ [name]: value }, error);
      else write(error, `${kind} is expected, not "${text}"`);
    };
    this.fields.set(name, (state) => {
      row.hidden = plane && !state.plane;
      if (document.activeElement !== control) control.value = String(state.settings[name]);
    });
    return row;
  }

  // Sizes of the hidden layers: one number each, and buttons for one more or one less.
  layers() {
    const error = element("p", { class: "error", role: "alert" });
    const list = element("div", { class: "layers", role: "group", "aria-label": "hidden layers" });
    const drawn = (state) => {
      const sizes = state.settings.hidden;
      if (list.contains(document.activeElement) && list.dataset.sizes === String(sizes)) return;
      list.dataset.sizes = String(sizes);
      const boxes = sizes.map((size, k) => {
        const box = element("input", {
          type: "text",
          inputmode: "numeric",
          class: "number",
          value: size,
          "aria-label": `units of hidden layer ${k + 1}`,
        });
        box.onchange = () => {
          const value = Number(box.value);
          const right = Number.isInteger(value) && value > 0;
          box.setAttribute("aria-invalid", String(!right));
          if (!right) return write(error, "a whole number above 0 is expected");
          this.change({ hidden: sizes.with(k, value) }, error);
        };
        return box;
      });
      const less = element(
        "button",
        { type: "button", class: "round", "aria-label": "one hidden layer less" },
        "−",
      );
      less.disabled = !sizes.length;
      less.onclick = () => this.change({ hidden: sizes.slice(0, -1) }, error);
      const more = element(
        "button",
        { type: "button", class: "round", "aria-label": "one hidden layer more" },
        "+",
      );
      more.onclick = () => this.change({ hidden: [...sizes, sizes.at(-1) || 16] }, error);
      list.replaceChildren(...boxes, less, more);
    };
    this.fields.set("hidden", drawn);
    const label = element("span", { class: "label" }, "hidden layers");
    return element("div", { class: "row" }, label, list, error);
  }
}

function group(title, ...rows) {
  return element("fieldset", {}, element("legend", {}, title), ...rows);
}
