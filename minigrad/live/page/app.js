// The page: messages come in, state is kept here, views draw it.
import { live } from "./source.js";

const state = { settings: null, lanes: [], curves: [], playing: false, step: 0 };
const source = live();
const views = []; // {race(state), frame(state, message)}

source.onmessage = (message) => {
  if (message.kind === "race") {
    state.settings = message.settings;
    state.lanes = message.lanes;
    state.curves = message.lanes.map(() => ({ step: [], loss: [], accuracy: [], seconds: [] }));
    for (const view of views) view.race(state);
  } else if (message.kind === "frame") {
    state.playing = message.playing;
    state.step = message.step;
    message.lanes.forEach((lane, k) => {
      Object.assign(state.lanes[k], { status: lane.status, why: lane.why });
      for (const name in lane.points) {
        const before = (state.curves[k][name] ?? []).slice(0, lane.from);
        state.curves[k][name] = before.concat(lane.points[name]);
      }
    });
    requestAnimationFrame(() => {
      document.getElementById("step").textContent = state.step;
      document.getElementById("play").textContent = state.playing ? "Pause" : "Play";
      for (const view of views) view.frame(state, message);
      source.send({ do: "ready" });
    });
  }
};
document.getElementById("play").onclick = () => source.send({ do: "play", on: !state.playing });
