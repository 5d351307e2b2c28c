// Where frames come from. A source has: send(order) -> Promise of the reply's result, and
// onmessage(message), which the page sets. recorded.js is the other one, for a page without a server.

export function live() {
  const address = new URL("socket", location.href.split("#")[0].split("?")[0]);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  const waiting = new Map();
  let number = 0;
  const source = {
    onmessage: () => {},
    send(order) {
      const id = ++number;
      socket.send(JSON.stringify({ ...order, id }));
      if (order.do === "ready") return Promise.resolve();
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.kind !== "reply") return source.onmessage(message);
    const promise = waiting.get(message.to);
    waiting.delete(message.to);
    if (!promise) return;
    if ("error" in message) promise.reject(new Error(message.error));
    else promise.resolve(message.result);
  };
  return source;
}
