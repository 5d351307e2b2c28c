// A lane as text: the lines of Python that do the same here, and its network in PyTorch.
import { element } from "./dom.js";

export function create(root, context) {
  return new Code(root, context);
}

const KINDS = [
  ["python", "Python", "Trains as this lane does, with the same numbers: run it where minigrad is installed."],
  ["pytorch", "PyTorch", "The same network with the weights that this lane has now."],
];

class Code {
  constructor(root, context) {
    this.context = context;
    this.lane = 0;
    this.kind = "python";
    this.number = 0;
    this.lanes = element("select", { id: "code-lane", class: "field" });
    this.lanes.onchange = () => {
      this.lane = Number(this.lanes.value);
      this.ask();
    };
    this.tabs = KINDS.map(([kind, title]) => {
      const tab = element("button", { type: "button", class: "toggle" }, title);
      tab.onclick = () => {
        this.kind = kind;
        this.draw();
      };
      return tab;
    });
    this.copy = element("button", { type: "button", class: "field code-copy" }, "Copy");
    this.copy.onclick = () => this.copied();
    this.file = element("button", { type: "button", class: "field", hidden: true });
    this.file.onclick = () => this.download();
    this.about = element("p", { class: "code-about" });
    this.text = element("code");
    const text = element("pre", { class: "code-text", tabindex: "0", "aria-label": "The text" }, this.text);
    const label = element("label", { for: "code-lane" }, "Lane");
    const tabs = element("span", { class: "code-tabs", role: "group", "aria-label": "Language" });
    tabs.append(...this.tabs);
    const again = element("button", { type: "button", class: "quiet" }, "Take the weights of this moment");
    again.onclick = () => this.ask();
    const tools = element("div", { class: "code-tools" }, label, this.lanes, tabs, this.copy);
    root.append(tools, this.about, text, element("p", { class: "code-file" }, this.file, again));
    this.again = again;
  }

  race(state) {
    this.lane = Math.min(this.lane, state.lanes.length - 1);
    const names = state.lanes.map((lane, k) => {
      const name = `${k + 1} ${lane.label || lane.title}`;
      return element("option", { value: k, selected: k === this.lane }, name);
    });
    this.lanes.replaceChildren(...names);
    if (this.context.isOpen?.("code")) this.ask();
  }

  shown(on) {
    if (on) this.ask();
  }

  async ask() {
    const number = ++this.number;
    try {
      const found = await this.context.send({ do: "code", lane: this.lane });
      if (number !== this.number) return;
      this.found = found;
      this.draw();
    } catch (error) {
      this.text.textContent = error.message;
    }
  }

  draw() {
    KINDS.forEach(([kind, , about], k) => {
      this.tabs[k].setAttribute("aria-pressed", String(kind === this.kind));
      if (kind === this.kind) this.about.textContent = about;
    });
    this.text.textContent = this.found?.[this.kind] || "";
    this.again.hidden = this.kind !== "pytorch";
    this.file.hidden = this.kind !== "pytorch" || !this.found?.file;
    if (!this.file.hidden) this.file.textContent = `Get ${this.found.file}, its weights`;
  }

  async copied() {
    const text = this.found?.[this.kind] || "";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Where the clipboard is not allowed: select the text and copy that.
      const range = document.createRange();
      range.selectNodeContents(this.text);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      if (!document.execCommand("copy")) {
        this.context.say("The text is selected: copy it with Ctrl-C.");
        return;
      }
    }
    this.copy.textContent = "Copied";
    setTimeout(() => (this.copy.textContent = "Copy"), 1500);
  }

  async download() {
    try {
      const { file, data } = await this.context.send({ do: "weights", lane: this.lane });
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      const link = element("a", { download: file });
      link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch (error) {
      this.context.say(error.message);
    }
  }
}
