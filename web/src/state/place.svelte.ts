// Where in the dashboard we are: the address's hash, and nothing else.

import { readRoute, type Route } from "../rules/route";

class Place {
  route: Route = $state.raw(readRoute(location.hash));
  /** The address without its query: what changes when another view is shown. */
  readonly path = $derived(this.route.view === "task" ? this.route.id : this.route.view);

  #steps = stepsNoted() ?? 0; // from view to view, to where we are; noted with each

  start(): void {
    this.#note();
    addEventListener("hashchange", () => {
      this.#steps = stepsNoted() ?? this.#steps + 1;
      this.#note();
      this.#read();
    });
  }

  /** To where we came from, if that was a view of this page. */
  back(otherwise: string): void {
    if (this.#steps > 0) history.back();
    else this.go(otherwise);
  }

  go(link: string): void {
    location.hash = link;
  }

  /** Changes the address without a step in the browser's history, as typing in a filter does. */
  replace(link: string): void {
    history.replaceState(history.state, "", link);
    this.#read();
  }

  #note(): void {
    history.replaceState({ steps: this.#steps }, "");
  }

  #read(): void {
    this.route = readRoute(location.hash);
  }
}

/** What the browser's history has of the present entry; null if it is new. */
function stepsNoted(): number | null {
  const state: unknown = history.state;
  const known = typeof state === "object" && state !== null && "steps" in state;
  return known && typeof state.steps === "number" ? state.steps : null;
}

export const place = new Place();
