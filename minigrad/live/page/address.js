// The settings in the page's address, after #. The server writes this text and reads it.
export class Address {
  constructor(context) {
    this.context = context;
    this.asked = false; // whether the browser's address has changed, so that it is a step already
    this.told = false; // whether this page has said yet what its address asks for
    addEventListener("hashchange", () => this.ask());
  }

  here() {
    const text = location.hash.slice(1);
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  race(state, anew) {
    if (state.recorded || !state.address) return;
    if (!this.told) {
      this.told = true;
      if (this.here() && this.here() !== state.address) return this.ask();
    }
    if (this.here() === state.address) {
      this.asked = false;
      return;
    }
    const url = `#${state.address}`;
    // A new set-up is a step that "back" takes back; a slider is not.
    if (anew && this.here() && !this.asked) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    this.asked = false;
  }

  // The address has changed: somebody pasted a link, or went back.
  ask() {
    const { state, send, say } = this.context;
    if (state.recorded || this.here() === state.address) return;
    if (!this.here()) return history.replaceState(null, "", `#${state.address}`);
    this.asked = true;
    send({ do: "address", text: this.here() }).catch((error) => {
      this.asked = false;
      say(`The link does not work: ${error.message}`);
      history.replaceState(null, "", `#${state.address}`);
    });
  }
}
