// Short messages at the edge: what was done, with a way to undo it, and what went wrong.

export interface Toast {
  key: number;
  text: string;
  tone: "plain" | "bad";
  undo: (() => Promise<void>) | null;
}

const SHOWN = 8000; // milliseconds; errors stay longer, since they are to be read
const ERRORS_SHOWN = 15_000;
const MOST = 4;

class Toasts {
  list: Toast[] = $state.raw([]);
  #next = 0;

  /** Says what was done. `undo` is offered while the message is shown. */
  say(text: string, undo: (() => Promise<void>) | null = null): void {
    this.#add({ key: this.#next++, text, tone: "plain", undo }, SHOWN);
  }

  fail(text: string): void {
    this.#add({ key: this.#next++, text, tone: "bad", undo: null }, ERRORS_SHOWN);
  }

  close(key: number): void {
    this.list = this.list.filter((one) => one.key !== key);
  }

  #add(toast: Toast, lasts: number): void {
    this.list = [...this.list, toast].slice(-MOST);
    setTimeout(() => this.close(toast.key), lasts);
  }
}

export const toasts = new Toasts();
