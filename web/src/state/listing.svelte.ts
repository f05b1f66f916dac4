// A listing of any length of which only some pages are here: those that are looked at, and some
// around them. Rows change in place as events come; what events do not tell is read again, at most
// about once a second.

import * as api from "../api/client";
import { Pager, type Part } from "../api/pager";
import type { QueueEvent, Summary } from "../api/types";
import { applied, byTask } from "../rules/events";
import { askFor, isEverything, type Filter, type Sort } from "../rules/filters";
import { moment } from "../rules/time";
import { MOST_ROWS, pagesOf, pagesToDrop, type Span } from "../rules/window";

export const PAGE = 100;
const MOST_PAGES = 20;
const REFRESH = 1000; // milliseconds between two readings of what is seen

export class Listing {
  total = $state(0);
  exact = $state(true);
  loaded = $state(false);
  error: string | null = $state(null);
  /** Whether every task is in it. */
  readonly all: boolean;
  /** Tasks that came since the list was held still. */
  newer = $state(0);

  #pages: Map<number, Part> = $state.raw(new Map());
  #places: Map<string, [page: number, row: number]> | null = null;
  #span: Span = { first: 0, end: 0 };
  #loading = new Set<number>();
  #anew = new Set<number>(); // to be loaded once more: what is on its way was asked for too early
  #refresh: ReturnType<typeof setTimeout> | undefined;
  #counted = 0; // by the server: how many there are, or at least how many
  #cost = 0; // milliseconds that the last refresh took
  #held: string | null = null; // the time before which tasks are shown while the list is held still
  readonly #abort = new AbortController();
  readonly #query: URLSearchParams;
  readonly #pager: Pager;

  constructor(
    private readonly filter: Filter,
    private readonly sort: Sort,
  ) {
    this.all = isEverything(filter);
    this.#query = askFor(filter, Date.now());
    const listed = new URLSearchParams(this.#query);
    if (sort !== "newest") listed.set("sort", sort);
    this.#pager = new Pager(listed, this.#abort.signal);
  }

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
    if (this.#held === null && this.sort !== "oldest") this.#pager.forget();
    await Promise.all([
      ...(seen.length > 0 ? seen : [0]).map((page) => this.#load(page, true)),
      ...(this.#held === null ? [this.#count()] : []),
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

  async #load(page: number, anew = false): Promise<void> {
    if (this.#loading.has(page)) {
      if (anew) this.#anew.add(page);
      return;
    }
    this.#loading.add(page);
    try {
      this.#store(page, await this.#pager.read(page * PAGE, PAGE, this.#held));
      this.error = null;
    } catch (error) {
      if (!this.#abort.signal.aborted) this.error = api.said(error);
    } finally {
      this.#loading.delete(page);
      this.loaded = true;
    }
    if (this.#anew.delete(page)) await this.#load(page);
  }

  async #count(): Promise<void> {
    try {
      const { count, exact } = await api.count(this.#query);
      this.#counted = count;
      this.exact = exact;
    } catch {
      this.exact = false; // the pages tell how many there are, at least
    }
    this.#fitTotal();
  }

  #store(page: number, found: Part): void {
    const pages = new Map(this.#pages).set(page, found);
    const used = pagesOf(this.#span, PAGE);
    for (const old of pagesToDrop(pages.keys(), used, MOST_PAGES)) pages.delete(old);
    this.#pages = pages;
    this.#places = null;
    this.#fitTotal();
  }

  /** The length: what the server counted, or what the pages show, where that is more or is surer. */
  #fitTotal(): void {
    let known = 0;
    let ends = false;
    for (const [page, { rows, last }] of this.#pages) {
      const end = page * PAGE + rows.length + (last ? 0 : 1);
      if ((rows.length > 0 || page === 0) && end >= known) [known, ends] = [end, last];
    }
    const sure = ends && !this.exact;
    this.total = Math.min(sure ? known : Math.max(known, this.#counted), MOST_ROWS);
    this.exact = (this.exact || sure) && this.total < MOST_ROWS;
  }

  #replace(changed: Map<number, Summary[]>): void {
    const pages = new Map(this.#pages);
    for (const [page, rows] of changed) {
      pages.set(page, { rows, last: pages.get(page)?.last ?? false });
    }
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
