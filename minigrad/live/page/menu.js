// A button that opens a menu: arrow keys move, Enter chooses, Escape closes.
import { element } from "./dom.js";

let other = null; // closes the menu that is open

// items() -> [{title, about, chosen, disabled, act}]
export function menu(button, items, { label } = {}) {
  const list = element("div", { class: "menu", role: "menu", "aria-label": label, hidden: true });
  const wrap = element("div", { class: "menu-wrap" });
  button.replaceWith(wrap);
  wrap.append(button, list);
  button.setAttribute("aria-haspopup", "menu");
  button.setAttribute("aria-expanded", "false");

  function close(focus = false) {
    if (list.hidden) return;
    list.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (focus) button.focus();
  }

  function open(at = 0) {
    other?.();
    other = close;
    const made = items().map((item) => {
      const row = element("button", {
        type: "button",
        class: "menu-item",
        role: item.chosen === undefined ? "menuitem" : "menuitemradio",
        "aria-checked": item.chosen === undefined ? null : String(item.chosen),
        tabindex: "-1",
      });
      row.append(element("span", { class: "menu-title" }, item.title));
      if (item.key) row.append(element("kbd", {}, item.key));
      if (item.about) row.append(element("span", { class: "menu-about" }, ...[item.about].flat()));
      row.disabled = Boolean(item.disabled);
      row.onclick = () => {
        close(true);
        item.act();
      };
      return row;
    });
    list.replaceChildren(...made);
    list.hidden = false;
    button.setAttribute("aria-expanded", "true");
    place(list, button);
    const able = made.filter((row) => !row.disabled);
    const chosen = able.find((row) => row.getAttribute("aria-checked") === "true");
    (chosen || able.at(at))?.focus();
  }

  button.onclick = () => (list.hidden ? open() : close());
  button.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      open(event.key === "ArrowDown" ? 0 : -1);
    }
  });
  list.addEventListener("keydown", (event) => {
    const rows = [...list.querySelectorAll("button:not(:disabled)")];
    const at = rows.indexOf(document.activeElement);
    const go = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (go !== undefined) {
      event.preventDefault();
      rows.at(go % rows.length)?.focus();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      close(true);
    } else if (event.key === "Tab") {
      close();
    } else if (event.key.length === 1 && event.key !== " ") {
      const letter = event.key.toLowerCase();
      const rest = [...rows.slice(at + 1), ...rows.slice(0, at + 1)];
      rest.find((row) => row.textContent.toLowerCase().startsWith(letter))?.focus();
    }
    if (event.key !== "Tab") event.stopPropagation();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!wrap.contains(event.target)) close();
  });
  addEventListener("resize", () => close());
  return { open, close };
}

// Keep the list within the window: below the button or above it, where there is more room.
function place(list, button) {
  list.classList.remove("to-left", "up");
  list.style.maxHeight = "";
  const at = button.getBoundingClientRect();
  const box = list.getBoundingClientRect();
  const [above, below] = [at.top, innerHeight - at.bottom];
  if (box.right > document.documentElement.clientWidth - 8) list.classList.add("to-left");
  const up = box.height > below - 16 && above > below;
  list.classList.toggle("up", up);
  list.style.maxHeight = `${Math.max(160, (up ? above : below) - 18)}px`;
  if (list.getBoundingClientRect().left < 0) list.classList.remove("to-left");
}
