// The keys. They do nothing while somebody types, and nothing with Ctrl, Alt or Meta.
import { byId, element } from "./dom.js";

export function keyboard({ context, controls, settings, views, curves }) {
  const keys = [
    ["Space", "play or pause", () => controls.play()],
    ["s", "one step", () => controls.step()],
    ["r", "restart with the same seed", () => controls.restart()],
    ["n", "restart with a new seed", () => controls.newSeed()],
    ["l", "loss: logarithmic scale or not", () => curves.toggleLog()],
    ["x", "next unit of the x axis", () => curves.nextUnit()],
    ["e", "explain the rules, or hide that", () => controls.explain()],
    ["o", "set-up of the race", () => settings.toggle()],
    ["p", "projector: full screen, large letters", () => controls.projector()],
    ["c", "code of the first lane", () => views.toggle("code")],
    ["t", "tours", () => views.toggle("tours")],
    ["?", "this list", () => help()],
    ["Esc", "close what is open", null],
  ];
  const list = byId("keys");
  for (const [key, text] of keys) {
    list.append(element("dt", {}, element("kbd", {}, key)), element("dd", {}, text));
  }

  const dialog = byId("help");
  function help() {
    if (dialog.open) dialog.close();
    else dialog.showModal();
  }
  controls.help = help;
  byId("help-close").onclick = () => dialog.close();

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const at = event.target;
    const typing = at.matches?.("input:not([type=range], [type=checkbox]), textarea, select");
    if (typing) return;
    // The space bar presses a button that has the focus, and Esc closes dialogs by itself.
    // Until the page is drawn anew, a button of a dialog that was closed still has it.
    const pressed = at.matches?.("button, a, summary, [role]") && at.checkVisibility();
    if (event.key === " " && pressed) return;
    if (document.querySelector("dialog[open]:not(.free)") && event.key !== "?") return;
    const found = keys.find(([key]) => key === (event.key === " " ? "Space" : event.key));
    if (!found?.[2] || (context.recorded && "srn".includes(found[0]))) return;
    event.preventDefault();
    found[2]();
  });
}
