// What the whole page follows: the connection, the queue's figures, and the events as they come.

import * as api from "../api/client";
import { Feed, type Connection } from "../api/feed";
import type { QueueEvent, QueueStatus } from "../api/types";

export type EventListener = (events: QueueEvent[], gap: boolean) => void;

/** Milliseconds between two readings of the figures while events come, and while none do. */
const BUSY = 500;
const IDLE = 5000;

class Live {
  connection: Connection = $state("connecting");
  retryAt: number | null = $state(null);
  status: QueueStatus | null = $state.raw(null);
  /** Events of the last ten seconds, a second. */
  rate = $state(0);

  #listeners = new Set<EventListener>();
  #reading = false;
  #due: ReturnType<typeof setTimeout> | undefined;
  #dueAt = Infinity;
  #counts: number[] = [];
  #count = 0;

  readonly #feed = new Feed({
    connection: (state, retryAt) => {
      this.connection = state;
      this.retryAt = retryAt;
    },
    hello: (status) => (this.status = status),
    events: (events, gap) => {
      this.#count += events.length;
      for (const listener of this.#listeners) listener(events, gap);
      this.#readIn(BUSY);
    },
  });

  start(): void {
    this.#feed.start();
    this.#readIn(IDLE);
    setInterval(() => this.#measure(), 1000);
  }

  /** Be told of events, once a frame; returns how to stop that. */
  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  reconnect(): void {
    this.#feed.again();
  }

  /** Read the figures now, after an action that no event tells of. */
  async read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      this.status = await api.status();
    } catch (error) {
      // A socket may look open long after the other side has gone.
      if (error instanceof api.ApiError && error.status === 0) this.#feed.drop();
    } finally {
      this.#reading = false;
    }
  }

  #readIn(wait: number): void {
    const at = Date.now() + wait;
    if (at >= this.#dueAt) return;
    clearTimeout(this.#due);
    this.#dueAt = at;
    this.#due = setTimeout(() => void this.#readDue(), wait);
  }

  async #readDue(): Promise<void> {
    if (!document.hidden && this.connection === "live") await this.read();
    this.#dueAt = Infinity;
    this.#readIn(IDLE);
  }

  #measure(): void {
    this.#counts = [...this.#counts, this.#count].slice(-10);
    this.#count = 0;
    this.rate = this.#counts.reduce((sum, one) => sum + one, 0) / this.#counts.length;
  }
}

export const live = new Live();
