// Reads any part of a listing. The server follows ids: it goes on behind the last one seen, and skips
// from there, but not far, since it looks at each task that it skips. So the ids of some rows are
// kept as waypoints, and a part is read from the nearest one above it.

import type { Summary } from "./types";
import { ApiError, list, listAddress } from "./client";

/** A row number, and the task that stands just above it. */
interface Waypoint {
  row: number;
  after: string | null;
}

export interface Part {
  rows: Summary[];
  last: boolean; // nothing comes behind these rows
}

interface Place {
  after: string | null;
  offset: number;
  limit: number;
}

const FAR = 40_000; // rows that are skipped at once, less than the server looks at for one answer
const STRIDE = 1000; // rows that are read to get past them, where the server does not skip so many
const MOST_CALLS = 100;
const MOST_WAYPOINTS = 4000;
const START: Waypoint = { row: 0, after: null };

export class Pager {
  #waypoints: Waypoint[] = [START];
  #skips = true;
  #age = 0; // what an answer tells that was asked for before `forget` is forgotten as well

  constructor(
    private readonly query: URLSearchParams,
    private readonly signal: AbortSignal,
  ) {}

  /** What is known of rows is no longer true: tasks have come in above them. */
  forget(): void {
    this.#waypoints = [START];
    this.#age++;
  }

  /** `count` rows from `row` on; fewer at the end. `until` leaves out what came after that time. */
  async read(row: number, count: number, until: string | null = null): Promise<Part> {
    try {
      return await this.#read(row, count, until);
    } catch (error) {
      if (!this.#skips || !(error instanceof ApiError) || error.status !== 400) throw error;
      // So few tasks pass the filter that the server would look at too many to skip some.
      this.#skips = false;
      return this.#read(row, count, until);
    }
  }

  async #read(row: number, count: number, until: string | null): Promise<Part> {
    const age = this.#age;
    const from = await this.#approach(row, age);
    if (from === null) return { rows: [], last: true };
    const place = { after: from.after, offset: row - from.row, limit: count };
    const part = await this.#collect(place, row === 0 ? until : null);
    this.#note(row + part.rows.length, this.#behind(part.rows.at(-1)), age);
    return part;
  }

  /** A waypoint from which the row can be had; null if there are not so many rows. */
  async #approach(row: number, age: number): Promise<Waypoint | null> {
    let from = this.#waypoints.findLast((one) => one.row <= row) ?? START;
    for (let ahead = row - from.row; ahead > 0; ahead = row - from.row) {
      if (this.#skips && ahead <= FAR) break;
      const step = this.#skips ? FAR : Math.min(STRIDE, ahead);
      const passed = this.#skips ? { offset: step - 1, limit: 1 } : { offset: 0, limit: step };
      const { rows } = await this.#collect({ after: from.after, ...passed });
      const last = rows.at(-1);
      if (last === undefined || rows.length < passed.limit) return null;
      from = { row: from.row + step, after: this.#behind(last) ?? null };
      this.#note(from.row, this.#behind(last), age);
    }
    return from;
  }

  /** A page may be short although there is more: the server looks at only so many tasks for one. */
  async #collect(place: Place, until: string | null = null): Promise<Part> {
    let { rows, next } = await list(this.#address(place, until), this.signal);
    for (let calls = 0; next !== null && rows.length < place.limit && calls < MOST_CALLS; calls++) {
      const more = await list(withLimit(next, place.limit - rows.length), this.signal);
      rows = [...rows, ...more.rows];
      next = more.next;
    }
    return { rows, last: next === null };
  }

  #address({ after, offset, limit }: Place, until: string | null): string {
    const query = new URLSearchParams(this.query);
    query.set("view", "summary");
    query.set("limit", String(limit));
    if (offset > 0) query.set("offset", String(offset));
    if (after !== null) query.set("after", after);
    if (until !== null) query.set("until", until);
    return listAddress(query);
  }

  /** Where a listing goes on behind this row: in the order of the queue that is its place in line, for
   * the task itself may have moved by then, or be gone. */
  #behind(row: Summary | undefined): string | undefined {
    if (row === undefined || this.query.get("sort") !== "queue") return row?.id;
    return [row.priority, ...(row.run_at ? [row.run_at] : []), row.id].join("~");
  }

  #note(row: number, after: string | undefined, age: number): void {
    if (after === undefined || age !== this.#age) return;
    const others = this.#waypoints.filter((one) => one.row !== row && one.row > 0);
    const kept = [...others.slice(-MOST_WAYPOINTS), { row, after }];
    this.#waypoints = [START, ...kept.sort((a, b) => a.row - b.row)];
  }
}

function withLimit(address: string, limit: number): string {
  const [path = "", query] = address.split("?");
  const kept = new URLSearchParams(query);
  kept.set("limit", String(limit));
  return `${path}?${kept.toString()}`;
}
