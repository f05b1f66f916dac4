// Where in the dashboard we are: the address's hash, and nothing else.

import { readRoute, type Route } from "../rules/route";

class Place {
  route: Route = $state.raw(readRoute(location.hash));
  /** The address without its query: what changes when another view is shown. */
  readonly path = $derived(this.route.view === "task" ? this.route.id : this.route.view);

  #steps = 0; // from view to view, since the page was loaded

  start(): void {
    addEventListener("hashchange", () => {
      this.#steps++;
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
    history.replaceState(null, "", link);
    this.#read();
  }

  #read(): void {
    this.route = readRoute(location.hash);
  }
}

export const place = new Place();
