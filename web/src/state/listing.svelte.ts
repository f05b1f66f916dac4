// A listing of any length of which only some pages are here: those that are looked at, and some
// around them. Rows change in place as events come; what events do not tell is read again, at most
// about once a second.

import * as api from "../api/client";
import type { QueueEvent, Summary } from "../api/types";
import { applied, byTask } from "../rules/events";
import { askFor, type Filter, type Sort } from "../rules/filters";
import { moment } from "../rules/time";
import { MOST_ROWS, pagesOf, pagesToDrop, type Span } from "../rules/window";

export const PAGE = 100;
const MOST_PAGES = 20;
const REFRESH = 1000; // milliseconds between two readings of what is seen
const MOST_HOPS = 50; // short pages in a row that are followed for one full page

interface Page {
  rows: Summary[];
  next: string | null;
}

export class Listing {
  total = $state(0);
  exact = $state(true);
  loaded = $state(false);
  error: string | null = $state(null);
  /** Tasks that came since the list was held still. */
  newer = $state(0);

  #pages: Map<number, Page> = $state.raw(new Map());
  #places: Map<string, [page: number, row: number]> | null = null;
  #span: Span = { first: 0, end: 0 };
  #loading = new Set<number>();
  #abort = new AbortController();
  #refresh: ReturnType<typeof setTimeout> | undefined;
  #cost = 0; // milliseconds that the last refresh took
  #held: string | null = null; // the time up to which tasks are shown while the list is held still

  constructor(
    private readonly filter: Filter,
    private readonly sort: Sort,
  ) {}

  row(index: number): Summary | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.rows[index % PAGE];
  }

  /** The rows that are here, to be selected and acted on. */
  known(): Summary[] {
    const inOrder = [...this.#pages].sort(([a], [b]) => a - b);
    return inOrder.flatMap(([, page]) => page.rows);
  }

  async start(): Promise<void> {
    await Promise.all([this.#load(0), this.#count()]);
  }

  stop(): void {
    this.#abort.abort();
    clearTimeout(this.#refresh);
  }

  /** Says which rows are looked at. */
  look(span: Span): void {
    this.#span = span;
    for (const page of pagesOf(span, PAGE)) {
      if (!this.#pages.has(page)) void this.#load(page);
    }
  }

  /** Keeps new tasks from pushing the rows down while somebody reads further below. */
  hold(still: boolean): void {
    if (still === (this.#held !== null)) return;
    const newest = moment(this.#pages.get(0)?.rows[0]?.created_at);
    if (still && (this.sort !== "newest" || this.filter.until !== "" || newest === null)) return;
    this.#held = still && newest !== null ? new Date(newest + 1).toISOString() : null;
    if (still) return;
    const news = this.newer > 0;
    this.newer = 0;
    if (news) void this.refresh();
  }

  /** Shows what the events say, and reads the rest soon. */
  take(events: QueueEvent[], gap: boolean): void {
    if (this.#held !== null) {
      this.newer += events.filter((event) => event.type === "task_submitted").length;
    }
    const changed = new Map<number, Summary[]>();
    for (const [id, steps] of byTask(events)) {
      const at = this.#index().get(id);
      const page = at && this.#pages.get(at[0]);
      const before = at && page?.rows[at[1]];
      if (!at || !page || !before) continue;
      const rows = changed.get(at[0]) ?? [...page.rows];
      rows[at[1]] = steps.reduce(applied, before);
      changed.set(at[0], rows);
    }
    if (changed.size > 0) this.#replace(changed);
    if (gap) this.#forgetUnseen();
    this.#refreshSoon();
  }

  /** Reads again what is seen. */
  async refresh(): Promise<void> {
    clearTimeout(this.#refresh);
    this.#refresh = undefined;
    const began = performance.now();
    const seen = pagesOf(this.#span, PAGE);
    await Promise.all([
      ...(seen.length > 0 ? seen : [0]).map((page) => this.#load(page)),
      this.#count(),
    ]);
    this.#forgetUnseen();
    this.#cost = performance.now() - began;
  }

  #refreshSoon(): void {
    const wait = Math.max(REFRESH, 3 * this.#cost);
    this.#refresh ??= setTimeout(() => {
      this.#refresh = undefined;
      if (!document.hidden) void this.refresh();
    }, wait);
  }

  async #load(page: number): Promise<void> {
    if (this.#loading.has(page)) return;
    this.#loading.add(page);
    try {
      this.#store(page, await this.#fetch(page));
      this.error = null;
    } catch (error) {
      if (!this.#abort.signal.aborted) this.error = api.said(error);
    } finally {
      this.#loading.delete(page);
      this.loaded = true;
    }
  }

  /** A page, by the cursor of the one before it if that is here, and by its number if not. The server
   * may answer less than was asked for, and a cursor: then there is more. */
  async #fetch(page: number): Promise<Page> {
    const cursor = page > 0 ? this.#pages.get(page - 1)?.next : undefined;
    let next: string | null = cursor ?? this.#address(page);
    if (cursor === null) return { rows: [], next: null };
    const rows: Summary[] = [];
    for (let hop = 0; next !== null && rows.length < PAGE && hop < MOST_HOPS; hop++) {
      const address = withLimit(next, PAGE - rows.length);
      const part: api.ListPage = await api.list(address, this.#abort.signal);
      rows.push(...part.rows);
      next = part.next;
    }
    return { rows, next };
  }

  #address(page: number): string {
    const query = this.#query();
    query.set("view", "summary");
    query.set("limit", String(PAGE));
    if (page > 0) query.set("offset", String(page * PAGE));
    return api.listAddress(query);
  }

  #query(): URLSearchParams {
    const query = askFor(this.filter, Date.now());
    if (this.sort !== "newest") query.set("sort", this.sort);
    if (this.#held !== null) query.set("until", this.#held);
    return query;
  }

  async #count(): Promise<void> {
    try {
      const query = this.#query();
      query.delete("sort");
      const { count, exact } = await api.count(query);
      this.total = Math.min(count, MOST_ROWS);
      this.exact = exact;
    } catch (error) {
      if (api.isMissing(error)) this.exact = false; // an older server: the pages tell
    }
    this.#fitTotal();
  }

  #store(page: number, found: Page): void {
    const pages = new Map(this.#pages).set(page, found);
    const used = pagesOf(this.#span, PAGE);
    for (const old of pagesToDrop(pages.keys(), used, MOST_PAGES)) pages.delete(old);
    this.#pages = pages;
    this.#places = null;
    this.#fitTotal();
  }

  /** What the pages show of the length, where the server's figure is none, or an older one. */
  #fitTotal(): void {
    let known = 0;
    for (const [page, { rows, next }] of this.#pages) {
      if (rows.length > 0) known = Math.max(known, page * PAGE + rows.length + (next ? 1 : 0));
    }
    const last = this.#pages.get(Math.floor(Math.max(0, known - 1) / PAGE));
    const ends = last !== undefined && last.next === null;
    if (known > this.total || (ends && !this.exact)) this.total = Math.min(known, MOST_ROWS);
  }

  #replace(changed: Map<number, Summary[]>): void {
    const pages = new Map(this.#pages);
    for (const [page, rows] of changed)
      pages.set(page, { rows, next: pages.get(page)?.next ?? null });
    this.#pages = pages;
  }

  /** Pages that are not seen are read when they are: what they held may have moved. */
  #forgetUnseen(): void {
    const seen = new Set([0, ...pagesOf(this.#span, PAGE)]);
    this.#pages = new Map([...this.#pages].filter(([page]) => seen.has(page)));
    this.#places = null;
  }

  #index(): Map<string, [number, number]> {
    if (this.#places) return this.#places;
    this.#places = new Map();
    for (const [page, { rows }] of this.#pages) {
      rows.forEach((row, index) => this.#places?.set(row.id, [page, index]));
    }
    return this.#places;
  }
}

function withLimit(address: string, limit: number): string {
  const url = new URL(address, location.origin);
  url.searchParams.set("limit", String(limit));
  return url.pathname + url.search;
}
