// The bar at the top.
import { byId, element, icon, write } from "./dom.js";
import { tell } from "./lanes.js";
import { menu } from "./menu.js";

const SPEEDS = [
  [null, "full speed"],
  [30, "30 steps / s"],
  [10, "10 steps / s"],
  [3, "3 steps / s"],
  [1, "1 step / s"],
];

export class Controls {
  constructor(context, { settings, views, curves }) {
    this.context = context;
    this.views = views;
    byId("play").onclick = () => this.play();
    byId("step").onclick = () => this.step();
    byId("restart").onclick = () => this.restart();
    byId("seed").onclick = () => this.newSeed();
    byId("set-up").onclick = () => settings.toggle();
    byId("tour").onclick = () => views.toggle("tours");
    context.viewAdded = (view) => {
      if (view.name === "tours") byId("tour").hidden = false;
    };
    byId("explain").onclick = () => this.explain();
    for (const [name, of] of [
      ["step", "step"],
      ["restart", "restart"],
      ["seed", "seed"],
      ["set-up", "settings"],
      ["more", "more"],
    ]) {
      byId(name).prepend(icon(of));
    }
    for (const [rounds, text] of SPEEDS) {
      byId("speed").append(element("option", { value: String(rounds) }, text));
    }
    byId("speed").onchange = (event) => {
      const value = event.target.value;
      this.order({ do: "speed", rounds: value === "null" ? null : Number(value) });
    };
    byId("data").onchange = (event) => settings.change({ data: event.target.value });
    menu(byId("preset"), () => this.presets(), { label: "Presets" });
    menu(byId("more"), () => this.rest(), { label: "More" });
    // After a click with the mouse the space bar still plays and pauses.
    document.addEventListener("click", (event) => {
      const button = event.target.closest?.("#bar button, .looks button");
      if (button && event.detail > 0 && !button.hasAttribute("aria-haspopup")) button.blur();
    });
    this.draw({ playing: false, step: 0 });
    this.curves = curves;
  }

  order(order) {
    return this.context.send(order).catch((error) => this.context.say(error.message));
  }

  play() {
    const on = !this.context.state.playing;
    this.order({ do: "play", on });
  }

  step() {
    this.order({ do: "step" });
  }

  restart() {
    this.order({ do: "restart" });
  }

  newSeed() {
    this.order({ do: "seed" });
  }

  explain() {
    const on = document.body.classList.toggle("explaining");
    document.body.classList.toggle("not-explaining", !on);
    byId("explain").setAttribute("aria-pressed", String(on));
  }

  // Full screen with large letters, for the back row.
  projector() {
    const on = document.documentElement.classList.toggle("projector");
    if (on) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen();
    dispatchEvent(new Event("scheme"));
  }

  presets() {
    return (this.context.state.hello?.presets || []).map((preset) => ({
      title: preset.title,
      about: preset.about,
      act: () => this.order({ do: "set", settings: preset.settings }),
    }));
  }

  rest() {
    const { recorded } = this.context.state;
    const live = [
      { title: "Copy a link to this set-up", act: () => this.link() },
      { title: "Save settings, histories and figures", act: () => this.save() },
    ];
    const views = [
      { name: "tours", title: "Guided tours", key: "t" },
      { name: "code", title: "The same in Python", key: "c" },
    ]
      .filter(({ name }) => this.views.has(name) && !recorded)
      .map(({ name, title, key }) => ({ title, key, act: () => this.views.toggle(name, true) }));
    return [
      ...views,
      ...(recorded ? [] : live),
      { title: "Projector: full screen, large letters", key: "p", act: () => this.projector() },
      { title: "Keys", key: "?", act: () => this.help() },
    ];
  }

  async link() {
    const { say } = this.context;
    try {
      await navigator.clipboard.writeText(location.href);
      say('The link is copied. It restores this set-up here; minigrad live "LINK" does elsewhere.');
    } catch {
      say("Copy the link from the browser's address bar: it restores this set-up.");
    }
  }

  async save() {
    const found = await this.order({ do: "save" });
    if (found) this.context.say(`Saved in ${found.folder}: ${found.files.join(", ")}`);
  }

  // ------------------------------------------------------------ messages
  hello(state) {
    byId("version").textContent = state.hello.version || "";
    const sets = (state.hello.data || []).map((set) => {
      const option = element("option", { value: set.name }, set.title.split(",")[0]);
      option.disabled = set.available === false;
      return option;
    });
    byId("data").replaceChildren(...sets);
    byId("preset").disabled = !state.hello.presets?.length;
  }

  race(state, anew) {
    byId("data").value = state.settings.data;
    this.draw(state);
    if (anew) tell(`A new race with ${state.lanes.length} lanes, seed ${state.settings.seed}`);
  }

  frame(state) {
    this.draw(state);
  }

  draw(state) {
    write(byId("count"), state.step.toLocaleString("en").replaceAll(",", "\u202f"));
    if (document.activeElement !== byId("speed")) byId("speed").value = String(state.speed ?? null);
    if (this.playing === state.playing) return;
    if (this.playing !== undefined) tell(state.playing ? "playing" : `paused at step ${state.step}`);
    this.playing = state.playing;
    const button = byId("play");
    button.replaceChildren(icon(state.playing ? "pause" : "play"), state.playing ? "Pause" : "Play");
    button.classList.toggle("playing", state.playing);
  }
}
