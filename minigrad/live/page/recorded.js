// A recording in the place of a server: the same messages, at the step that a slider says.
// `minigrad live --record` writes the page, this file in it, and what was recorded.
//
// The recording: {hello, race, curves, frames, blobs}. curves[k] are all points of lane k. A frame is
// {step, lanes: [{status, why, lr, points, views}]}: how many points there are by then, and the views
// that are new. Bytes of a view are {"bytes": [place, length]} in `blobs`, as differences from the
// same view before it.

const LENGTH = 12; // seconds from begin to end, at the usual speed
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const NEEDS = "This is a recording. What is asked for needs a server: pip install minigrad[live], then minigrad live";

export const there = () => document.getElementById("recording") !== null;

export function recorded() {
  const text = document.getElementById("recording").textContent.trim();
  const bar = timeline();
  let recording = null;
  let at = -1; // the frame that the page has
  let wanted = 0;
  let drawn = true; // the page has drawn the last frame
  let generation = 0;
  let playing = false;
  let show = new Set();
  let layer = null;
  let speed = 1;

  const source = {
    recorded: true,
    onmessage: () => {},
    onstate: () => {},
    send(order) {
      if (order.do === "ready") {
        drawn = true;
        tell();
      } else if (order.do === "show") {
        show = new Set(order.views);
        layer = order.layer ?? null;
        at = -1;
        tell();
      } else if (order.do === "play") play(order.on);
      else if (order.do === "step") seek(wanted + 1);
      else if (order.do === "restart") seek(0);
      else return Promise.reject(new Error(NEEDS));
      return Promise.resolve(null);
    },
  };

  function seek(frame) {
    play(false);
    wanted = Math.max(0, Math.min(recording.frames.length - 1, frame));
    tell();
  }

  function play(on) {
    if (playing === on || !recording) return;
    const last = recording.frames.length - 1;
    if (on && wanted >= last) wanted = 0;
    playing = on;
    mark();
    if (!on) return tell(true);
    let since = performance.now();
    let place = wanted;
    const timer = setInterval(() => {
      if (!playing) return clearInterval(timer);
      const now = performance.now();
      place += (((now - since) / 1000) * speed * last) / LENGTH;
      since = now;
      wanted = Math.min(last, Math.floor(place));
      if (wanted >= last) play(false);
      else tell();
    }, 40);
  }

  function mark() {
    bar.play.textContent = playing ? "Pause" : "Play";
    bar.play.setAttribute("aria-pressed", String(playing));
  }

  // The newest frame, unless the page still draws. What it has not seen comes along.
  function tell(again = false) {
    if (!recording || !drawn || (at === wanted && !again)) return;
    const back = wanted < at || at < 0;
    if (back) generation += 1;
    const from = back ? null : recording.frames[at];
    const frame = recording.frames[wanted];
    const lanes = frame.lanes.map((lane, k) => {
      const begin = from ? from.lanes[k].points : 0;
      const points = {};
      for (const name in recording.curves[k]) {
        points[name] = recording.curves[k][name].slice(begin, lane.points);
      }
      const views = viewsBetween(back ? -1 : at, wanted, k);
      return { status: lane.status, why: lane.why, lr: lane.lr, from: begin, points, views };
    });
    at = wanted;
    drawn = false;
    bar.slider.value = wanted;
    bar.slider.setAttribute("aria-valuetext", `step ${frame.step}`);
    bar.step.textContent = `step ${frame.step}`;
    const race = recording.race.race;
    const message = { kind: "frame", race, generation, step: frame.step, playing, speed: null, lanes };
    source.onmessage(message);
  }

  function viewsBetween(first, last, k) {
    const found = {};
    for (let i = first + 1; i <= last; i++) {
      for (const [name, view] of Object.entries(recording.frames[i].lanes[k].views)) {
        const [kind, of] = name.split("/");
        if (show.has(kind) && (of === undefined || of === (layer ?? recording.layer))) {
          found[kind] = view;
        }
      }
    }
    for (const kind in found) found[kind] = asText(found[kind]);
    return found;
  }

  bar.play.onclick = () => play(!playing);
  bar.slider.oninput = () => seek(Number(bar.slider.value));
  bar.speed.onchange = () => (speed = Number(bar.speed.value));
  unpacked(text)
    .then((found) => {
      recording = found;
      bar.slider.max = recording.frames.length - 1;
      source.onstate(true, "");
      source.onmessage(recording.hello);
      source.onmessage(recording.race);
      tell();
    })
    .catch((error) => source.onstate(false, `The recording cannot be read: ${error.message}`));
  return source;
}

// ---------------------------------------------------------------- bytes

async function inflated(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpacked(text) {
  const [json, bytes] = await Promise.all(text.split(/\s+/).map(inflated));
  const recording = JSON.parse(new TextDecoder().decode(json));
  const before = new Map();
  for (const frame of recording.frames) {
    frame.lanes.forEach((lane, k) => {
      for (const [name, view] of Object.entries(lane.views)) {
        for (const [field, value] of Object.entries(view)) {
          if (!value?.bytes) continue;
          const [place, length] = value.bytes;
          const own = bytes.slice(place, place + length);
          const key = `${k} ${name} ${field}`;
          const last = before.get(key);
          if (last?.length === length) for (let i = 0; i < length; i++) own[i] += last[i];
          before.set(key, own);
          view[field] = own;
        }
      }
    });
  }
  return recording;
}

function asText(view) {
  const found = { ...view };
  for (const field in found) {
    if (!(found[field] instanceof Uint8Array)) continue;
    let letters = "";
    for (const byte of found[field]) letters += String.fromCharCode(byte);
    found[field] = btoa(letters);
  }
  return found;
}

// ---------------------------------------------------------------- the bar with the slider

function timeline() {
  const bar = document.createElement("form");
  bar.id = "timeline";
  bar.setAttribute("aria-label", "The recording");
  bar.onsubmit = () => false;
  const play = document.createElement("button");
  play.type = "button";
  play.textContent = "Play";
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: 0, step: 1, value: 0 });
  slider.setAttribute("aria-label", "Step of the race");
  const step = document.createElement("output");
  step.textContent = "step 0";
  const speed = document.createElement("select");
  speed.setAttribute("aria-label", "Speed");
  for (const times of SPEEDS) speed.add(new Option(`${times}×`, times, times === 1, times === 1));
  bar.append(play, slider, step, speed);
  document.body.append(bar);
  return { play, slider, step, speed };
}
