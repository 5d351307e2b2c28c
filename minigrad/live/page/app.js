// The page: messages come in, state is kept (state.js), views draw it.
//
// A view is a module, and has a line in views.js. It exports
//
//   create(root, context) -> {race(state), frame(state, message), shown(on)}
//     race(state)            a new race has begun (called once after create, too): make the elements
//                            anew. All slots are empty then
//     frame(state, message)  called in an animation frame, only while the view is shown. What is new:
//                            message.lanes[k].views.<name>; the newest there is: state.lanes[k].views.
//                            When a view is switched on it gets one call with all there is
//     shown(on)              optional: somebody has switched it on or off
//
// `root` is the view's place on the page. Where that is, views.js says (`place`):
//   "lanes"   a strip above the lane cards, for tools such as a chooser. Empty: it takes no room
//   "panel"   a card beside the curves, about 420 x 380 px (320 x 300 on a small projector)
//   "sheet"   a large sheet over the page, with a title and a button that closes it
//   "window"  a dialog; or the view makes its own place, and leaves `root` empty
//
// context:
//   send(order)        -> Promise of the reply's result; rejected with the server's sentence
//   state              see state.js
//   slot(name)         the same as `root` of the view of that name
//   lane(k).slot(name) the view's place in the card of lane k: as wide as the card (180 to 480 px).
//                      Empty: it takes no room. It is shown while the view `name` is
//   lane(k).card       the card's element
//   colours()          {text, soft, line, ground, card, accent, lanes: [...6], dashes: [...6]} of the
//                      scheme, light or dark, for a canvas. lanes[state.lanes[k].look] is lane k's.
//                      In CSS: var(--text), var(--soft), var(--line), var(--ground), var(--card),
//                      var(--accent), var(--mono), var(--math); in a card var(--lane), its colour
//   open(name), close(name)   show or hide a view
//   isOpen(name)
//   say(text)          a short note at the foot of the page, which screen readers speak, too
//   layer(name)        choose the layer for views that show one ("show" with "layer")
//   recorded           whether there is no server: hide what gives orders (or class="orders")
//
// CSS of a view: page/<name>.css; index.html has a line for each. Classes start with the view's name.
import { Address } from "./address.js";
import { colours, onScheme } from "./colours.js";
import { Controls } from "./controls.js";
import { Curves } from "./curves.js";
import { byId, write } from "./dom.js";
import { Goal } from "./goal.js";
import { keyboard } from "./keyboard.js";
import { Lanes } from "./lanes.js";
import { Settings } from "./settings.js";
import * as sources from "./source.js";
import { empty, takeFrame, takeRace } from "./state.js";
import { Views } from "./views.js";

const state = empty();
let source = null;
let pending = null; // the frame to draw next
let timer = 0;

// ---------------------------------------------------------------- orders and notes
function send(order) {
  if (!source || source.closed) return Promise.reject(new Error("the server does not answer"));
  return source.send(order);
}

function say(text) {
  write(byId("note"), text);
  byId("note").classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => byId("note").classList.remove("shown"), 6000);
}

const context = { send, state, say, colours };
Object.defineProperty(context, "recorded", { get: () => state.recorded });
const curves = new Curves(context);
context.strong = (k) => curves.strong(k);
const lanes = new Lanes(context);
const views = new Views(context, lanes);
Object.assign(context, {
  slot: (name) => views.slot(name),
  lane: (k) => lanes.lane(k),
  open: (name) => views.toggle(name, true),
  close: (name) => views.toggle(name, false),
  isOpen: (name) => views.isOpen(name),
  layer: (name) => views.layer(name),
});
const settings = new Settings(context);
const controls = new Controls(context, { settings, views, curves });
const address = new Address(context);
const parts = [controls, settings, new Goal(context), curves, lanes, views];
keyboard({ context, controls, settings, views, curves });
onScheme(() => {
  curves.restyle();
  views.restyle();
});

// ---------------------------------------------------------------- messages
function receive(message) {
  if (message.kind === "hello") {
    state.hello = message;
    for (const part of parts) part.hello?.(state);
  } else if (message.kind === "race") {
    const anew = takeRace(state, message);
    if (anew) pending = null;
    for (const part of parts) part.race?.(state, anew);
    address.race(state, anew);
  } else if (message.kind === "frame") {
    if (takeFrame(state, message)) schedule(message);
    else source.send({ do: "ready" });
  }
}

// Draw soon. A hidden page gets no animation frames: a timer draws it then.
let scheduled = false;
function schedule(message) {
  pending = pending ? joined(pending, message) : message;
  if (scheduled) return;
  scheduled = true;
  if (document.hidden) setTimeout(draw, 250);
  else requestAnimationFrame(draw);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && scheduled) setTimeout(draw, 250);
});

function joined(before, after) {
  const lanes = after.lanes.map((lane, k) => ({
    ...lane,
    views: { ...before.lanes[k]?.views, ...lane.views },
  }));
  return { ...after, lanes: lanes.length ? lanes : before.lanes };
}

// How long frames take: the newest hundred, in milliseconds. For tests and for the curious.
const timings = [];
window.minigrad = { state, timings, context };

function draw() {
  if (!scheduled) return;
  scheduled = false;
  const message = pending;
  pending = null;
  const since = performance.now();
  try {
    for (const part of parts) part.frame?.(state, message);
  } finally {
    timings.push(performance.now() - since);
    if (timings.length > 100) timings.shift();
    if (message.kind === "frame" && !source.closed) source.send({ do: "ready" });
  }
}

// ---------------------------------------------------------------- the connection
function connect() {
  source = sources.live();
  state.recorded = Boolean(source.recorded);
  document.body.classList.toggle("recorded", state.recorded);
  source.onmessage = receive;
  source.onstate = (open, sentence) => {
    write(byId("lost"), open ? "" : sentence);
    byId("lost").hidden = open;
    document.body.classList.toggle("is-lost", !open);
    source.closed = !open;
    if (!open) state.race = 0; // whatever comes next is drawn anew
  };
  controls.source?.(source);
}

connect();
