// Where frames come from. A source has: send(order) -> Promise of the reply's result,
// onmessage(message) and onstate(open, sentence), which the page sets.
// recorded.js is the other one, for a page without a server.
import { recorded, there } from "./recorded.js";

const REASONS = {
  4403: "This tab is not known to the server: open the address that minigrad live printed.",
  4429: "Too many tabs are open: close one of them and reload this one.",
  1009: "A message was too long.",
};
const ENDED = "The server has ended. Start minigrad live again, and open its new address.";

export function live() {
  if (there()) return recorded();
  forgetToken();
  const address = new URL("socket", location.href.split("#")[0].split("?")[0]);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const waiting = new Map();
  const unsent = [];
  let number = 0;
  let tries = 0;
  let socket;
  const source = {
    onmessage: () => {},
    onstate: () => {},
    send(order) {
      const id = ++number;
      const text = JSON.stringify({ ...order, id });
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
      else if (socket.readyState === WebSocket.CONNECTING) unsent.push(text);
      else return Promise.reject(new Error(ENDED));
      if (order.do === "ready") return Promise.resolve();
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
  };
  const connect = () => {
    socket = new WebSocket(address);
    socket.onopen = () => {
      tries = 0;
      for (const text of unsent.splice(0)) socket.send(text);
      source.onstate(true, "");
    };
    socket.onmessage = (event) => received(JSON.parse(event.data));
    socket.onclose = (event) => {
      for (const { reject } of waiting.values()) reject(new Error(REASONS[event.code] ?? ENDED));
      waiting.clear();
      unsent.length = 0;
      source.onstate(false, REASONS[event.code] ?? ENDED);
      // A computer that slept, or a server that is started anew at the same port: try again.
      if (!(event.code in REASONS) && tries++ < 3) setTimeout(connect, 1000 * tries);
    };
  };
  const received = (message) => {
    if (message.kind !== "reply") return source.onmessage(message);
    const promise = waiting.get(message.to);
    waiting.delete(message.to);
    if (!promise) return;
    if ("error" in message) promise.reject(new Error(message.error));
    else promise.resolve(message.result);
  };
  connect();
  return source;
}

// The token stays in a cookie; out of the address bar nobody copies it by accident.
function forgetToken() {
  const here = new URL(location.href);
  if (!here.searchParams.has("token")) return;
  here.searchParams.delete("token");
  history.replaceState(history.state, "", here);
}
