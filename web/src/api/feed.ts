// The connection to /ws: it comes back by itself, goes on after the last event it has seen, and hands
// over what came once a frame of the screen, however many events that is.

import { backoff, readFrame, resumable } from "../rules/feed";
import type { QueueEvent, QueueStatus } from "./types";

export type Connection = "connecting" | "live" | "lost";

export interface FeedListener {
  connection(state: Connection, retryAt: number | null): void;
  hello(status: QueueStatus): void;
  /** Events in order. `gap` says that some are missing, so what is shown must be read again. */
  events(events: QueueEvent[], gap: boolean): void;
}

/** Events that wait for a frame, at most: a page in the background gets none for long. */
const MOST_WAITING = 5000;

export class Feed {
  #socket: WebSocket | null = null;
  #seen: number | null = null;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #waiting: QueueEvent[] = [];
  #gap = false;
  #frame: number | undefined;

  constructor(private readonly listener: FeedListener) {}

  start(): void {
    this.#open();
    addEventListener("online", () => this.again());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.#deliver();
      this.again();
    });
  }

  /** Connect now if it is waiting to. */
  again(): void {
    if (this.#retry === undefined) return;
    clearTimeout(this.#retry);
    this.#open();
  }

  /** Give this connection up, because it has turned out to be dead, and make another. */
  drop(): void {
    const socket = this.#socket;
    if (socket === null) return;
    socket.close();
    this.#closed(socket); // the other side may never answer the close
  }

  #open(): void {
    this.#retry = undefined;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const after = this.#seen === null ? "" : `?after=${this.#seen}`;
    const socket = new WebSocket(`${scheme}://${location.host}/ws${after}`);
    this.#socket = socket;
    if (this.#failures === 0) this.listener.connection("connecting", null);
    socket.onmessage = (message) => {
      if (socket === this.#socket) this.#take(String(message.data));
    };
    socket.onclose = () => this.#closed(socket);
  }

  #closed(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    const wait = backoff(this.#failures++, Math.random);
    this.listener.connection("lost", Date.now() + wait);
    this.#retry = setTimeout(() => this.#open(), wait);
  }

  #take(text: string): void {
    for (const frame of readFrame(text)) {
      if (frame.kind === "hello") this.#hello(frame.seq, frame.status);
      else if (frame.kind === "lagged") this.#gap = true;
      else this.#event(frame.event);
    }
    if (this.#waiting.length > 0 || this.#gap) this.#schedule();
  }

  #hello(seq: number, status: QueueStatus): void {
    this.#failures = 0;
    // What is shown was perhaps asked for while nobody answered: that no event is missing does not
    // mean that all of it was read.
    this.#gap = this.#gap || this.#seen !== null;
    if (!resumable(this.#seen, seq)) this.#seen = seq;
    this.listener.connection("live", null);
    this.listener.hello(status);
  }

  #event(event: QueueEvent): void {
    this.#seen = event.seq;
    if (this.#waiting.length < MOST_WAITING) {
      this.#waiting.push(event);
      return;
    }
    this.#waiting = [];
    this.#gap = true;
  }

  #schedule(): void {
    this.#frame ??= requestAnimationFrame(() => this.#deliver());
  }

  #deliver(): void {
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#frame = undefined;
    const [events, gap] = [this.#waiting, this.#gap];
    this.#waiting = [];
    this.#gap = false;
    if (events.length > 0 || gap) this.listener.events(events, gap);
  }
}
