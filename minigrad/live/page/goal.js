// What one should see in the race, if it is a preset: a sentence under the bar, until it is closed.
import { byId, element, icon } from "./dom.js";

export class Goal {
  constructor(context) {
    this.context = context;
    this.closed = null; // the preset whose sentence somebody has closed
    const close = element(
      "button",
      { type: "button", class: "quiet round", "aria-label": "Close: what one should see" },
      icon("close"),
    );
    close.onclick = () => {
      this.closed = this.preset.name;
      byId("goal").hidden = true;
    };
    this.said = element("p");
    byId("goal").append(this.said, close);
  }

  race(state, anew) {
    if (!anew) return; // a rate was moved: it is still that race
    const settings = plain(state.settings);
    const presets = state.hello?.presets || [];
    this.preset = presets.find((preset) => plain(preset.settings) === settings);
    if (this.preset?.name !== this.closed) this.closed = null;
    byId("goal").hidden = !this.preset || this.closed !== null;
    if (!this.preset) return;
    this.said.replaceChildren(element("b", {}, `${this.preset.title}. `), this.preset.about);
  }
}

// Settings without their seed: with another one it is still the preset.
function plain({ seed, ...rest }) {
  return JSON.stringify(rest);
}
