// Which tasks of a list are chosen: some by name, or all that the list's filter admits.

import type { Summary } from "../api/types";

export class Selection {
  all = $state(false);
  #chosen: ReadonlyMap<string, Summary> = $state.raw(new Map());
  #last: string | null = null;

  get tasks(): Summary[] {
    return [...this.#chosen.values()];
  }

  get size(): number {
    return this.#chosen.size;
  }

  get some(): boolean {
    return this.all || this.#chosen.size > 0;
  }

  has(id: string): boolean {
    return this.all || this.#chosen.has(id);
  }

  /** Choose the task, or no longer. `known` are the rows that are here: of "all that match" the others
   * stay chosen by name; with `range` so are those between this one and the one before. */
  toggle(task: Summary, known: readonly Summary[], range = false): void {
    const next = new Map(this.all ? known.map((one) => [one.id, one]) : this.#chosen);
    const add = !this.has(task.id);
    const from = range ? known.findIndex((one) => one.id === this.#last) : -1;
    const to = known.findIndex((one) => one.id === task.id);
    const between = known.slice(Math.min(from, to), Math.max(from, to) + 1);
    for (const one of from >= 0 && to >= 0 ? between : [task]) {
      if (add) next.set(one.id, one);
      else next.delete(one.id);
    }
    this.#last = task.id;
    this.all = false;
    this.#chosen = next;
  }

  chooseAll(): void {
    this.all = true;
    this.#chosen = new Map();
  }

  clear(): void {
    this.all = false;
    this.#chosen = new Map();
    this.#last = null;
  }
}
