// What the page knows: the messages of the server, put together.
//
// state.hello     the message "hello" (rules, presets, tours, data, ...), or null
// state.race      number of the race; state.settings, .address, .layers, .classes, .plane: of "race"
// state.step, .playing, .speed
// state.recorded  whether there is no server
// state.lanes[k]  {rule, title, label, cost, lr, status, why, ...} of "race" and "frame", and
//   .about    the rule's entry of "hello" ({equation, needs, lesson, ...}), or {}
//   .look     its number among the colours and dashes, 0 to 5
//   .points   {step: [...], loss: [...], accuracy: [...], seconds: [...], cosine: [...]}
//   .views    the newest of each view: {cosine: {...}, weights: {...}, ...}
export function empty() {
  return {
    hello: null,
    race: 0,
    settings: null,
    address: "",
    layers: [],
    classes: [],
    plane: null,
    lanes: [],
    step: 0,
    playing: false,
    speed: null,
    recorded: false,
    generation: null,
  };
}

const POINTS = ["step", "loss", "accuracy", "seconds", "cosine"];

// Take in a message "race". Returns whether it is a new race.
export function takeRace(state, message) {
  const anew = message.race !== state.race || message.lanes.length !== state.lanes.length;
  const { kind, lanes, ...rest } = message;
  Object.assign(state, rest);
  if (anew) {
    state.step = 0;
    state.generation = null;
  }
  const rules = new Map((state.hello?.rules || []).map((rule) => [rule.name, rule]));
  state.lanes = lanes.map((lane, k) => {
    const kept = anew ? { points: empties(), views: {} } : state.lanes[k];
    return Object.assign(kept, lane, { about: rules.get(lane.rule) || {}, look: k % 6 });
  });
  return anew;
}

function empties() {
  return Object.fromEntries(POINTS.map((name) => [name, []]));
}

// Take in a message "frame".
export function takeFrame(state, message) {
  if (message.race !== undefined && message.race !== state.race) return false;
  state.playing = message.playing;
  state.step = message.step;
  if (message.speed !== undefined) state.speed = message.speed;
  state.generation = message.generation ?? 0;
  message.lanes.forEach((given, k) => {
    const lane = state.lanes[k];
    if (!lane) return;
    const { points, views, from, ...rest } = given;
    Object.assign(lane, rest);
    for (const name in points) {
      lane.points[name] ||= [];
      lane.points[name].length = Math.min(from, lane.points[name].length);
      for (const value of points[name]) lane.points[name].push(value);
    }
    Object.assign(lane.views, views);
  });
  return true;
}
