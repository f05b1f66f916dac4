// Reads any part of a listing. The server follows ids: it goes on behind the last one seen, and skips
// from there, but not far, since it looks at each task that it skips. So the ids of some rows are
// kept as waypoints, and a part is read from the nearest one above it.

import type { Summary } from "./types";
import { ApiError, list, listAddress, type ListPage } from "./client";

/** A row number, and the task that stands just above it. */
interface Waypoint {
  row: number;
  after: string | null;
}

export interface Part {
  rows: Summary[];
  last: boolean; // nothing comes behind these rows
}

const FAR = 40_000; // rows that are skipped at once, less than the server looks at for one answer
const STRIDE = 1000; // rows of an answer where it does not skip so far
const MOST_CALLS = 100;
const MOST_WAYPOINTS = 4000;

export class Pager {
  #waypoints: Waypoint[] = [{ row: 0, after: null }];

  constructor(
    private readonly query: URLSearchParams,
    private readonly signal: AbortSignal,
  ) {}

  /** What is known of rows is no longer true: tasks have come in above them. */
  forget(): void {
    this.#waypoints = [{ row: 0, after: null }];
  }

  /** `count` rows from `row` on; fewer at the end. `until` leaves out what came after that time. */
  async read(row: number, count: number, until: string | null = null): Promise<Part> {
    const from = await this.#approach(row);
    if (from === null) return { rows: [], last: true };
    const start = { limit: count, offset: row - from.row, after: from.after };
    let { rows, next } = await this.#get(start, row === 0 ? until : null);
    // A page may be short although there is more: the server looks at so many tasks for one.
    for (let calls = 0; next !== null && rows.length < count && calls < MOST_CALLS; calls++) {
      const more = await list(withLimit(next, count - rows.length), this.signal);
      rows = [...rows, ...more.rows];
      next = more.next;
    }
    this.#note(row + rows.length, rows.at(-1)?.id);
    return { rows, last: next === null };
  }

  /** The last waypoint at or above the row, at most FAR above it; null if there are no such rows. */
  async #approach(row: number): Promise<Waypoint | null> {
    for (let calls = 0; calls < MOST_CALLS; calls++) {
      const from = this.#waypoints.findLast((one) => one.row <= row) ?? { row: 0, after: null };
      if (row - from.row <= FAR) return from;
      if ((await this.#hop(from)) === 0) return null;
    }
    return null;
  }

  /** Makes a waypoint further down, and says by how many rows. */
  async #hop(from: Waypoint): Promise<number> {
    let ahead = FAR;
    let found: ListPage;
    try {
      found = await this.#get({ limit: 1, offset: FAR - 1, after: from.after });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 400) throw error;
      // Few of the tasks that it would look at pass the filter: go on page by page.
      found = await this.#get({ limit: STRIDE, offset: 0, after: from.after });
      ahead = found.rows.length;
    }
    const last = found.rows.at(-1);
    if (last === undefined) return 0;
    this.#note(from.row + ahead, last.id);
    return ahead;
  }

  #get(
    place: { limit: number; offset: number; after: string | null },
    until: string | null = null,
  ): Promise<ListPage> {
    const query = new URLSearchParams(this.query);
    query.set("view", "summary");
    query.set("limit", String(place.limit));
    if (place.offset > 0) query.set("offset", String(place.offset));
    if (place.after !== null) query.set("after", place.after);
    if (until !== null) query.set("until", until);
    return list(listAddress(query), this.signal);
  }

  #note(row: number, after: string | undefined): void {
    if (after === undefined) return;
    const kept = this.#waypoints.filter((one) => one.row !== row).slice(-MOST_WAYPOINTS);
    this.#waypoints = [...kept, { row, after }].sort((a, b) => a.row - b.row);
    if (this.#waypoints[0]?.row !== 0) this.#waypoints.unshift({ row: 0, after: null });
  }
}

function withLimit(address: string, limit: number): string {
  const [path = "", query] = address.split("?");
  const kept = new URLSearchParams(query);
  kept.set("limit", String(limit));
  return `${path}?${kept.toString()}`;
}
