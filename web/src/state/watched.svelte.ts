// One task as it lives: its record, read again when an event names it, and what it generates.

import { untrack } from "svelte";
import * as api from "../api/client";
import { follow } from "../api/output";
import type { Chunk, QueueEvent, Task, TaskType } from "../api/types";
import { answered } from "../rules/conversation";
import { joined, SILENCE, type Output } from "../rules/stream";

/** Types whose answers are not written word by word. */
const SILENT = new Set<TaskType>(["embed", "rerank", "image", "speech", "moderate"]);
const REST = 150; // milliseconds between two readings of the record

export class Watched {
  task: Task | null = $state.raw(null);
  error: string | null = $state(null);
  missing = $state(false);
  output: Output = $state.raw(SILENCE);

  /** Whether there is output to read beside the record: of what runs, and of what did not come to a
   * result. */
  readonly speaks = $derived(this.#speaks());

  #reading: ReturnType<typeof setTimeout> | undefined;
  #again = false;
  #busy = false;

  constructor(readonly id: string) {}

  async read(): Promise<void> {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    try {
      this.task = await api.task(this.id);
      this.error = null;
      this.missing = false;
    } catch (error) {
      this.missing = api.isMissing(error);
      this.error = api.said(error);
    }
    this.#busy = false;
    if (this.#again) {
      this.#again = false;
      this.#readSoon();
    }
  }

  take(events: readonly QueueEvent[], gap: boolean): void {
    if (gap || events.some((event) => event.task_id === this.id)) this.#readSoon();
  }

  stop(): void {
    clearTimeout(this.#reading);
  }

  /** Reads the output until it ends; returns how to stop that. What comes between two frames of the
   * screen is shown at once. */
  listen(): () => void {
    const abort = new AbortController();
    let waiting: Chunk[] = [];
    let frame: number | undefined;
    const show = () => {
      frame = undefined;
      this.output = joined(this.output, waiting);
      waiting = [];
    };
    const take = (chunks: Chunk[]) => {
      waiting.push(...chunks);
      if (document.hidden) show();
      else frame ??= requestAnimationFrame(show);
    };
    const place = () => {
      const { offset, attempt } = joined(
        untrack(() => this.output),
        waiting,
      );
      return { offset, attempt };
    };
    void follow(this.id, place, take, abort.signal);
    return () => {
      abort.abort();
      if (frame !== undefined) cancelAnimationFrame(frame);
      if (waiting.length > 0) show();
    };
  }

  #speaks(): boolean {
    const task = this.task;
    if (task === null || SILENT.has(task.type) || task.status === "pending") return false;
    return task.status !== "completed" || answered(task.result) === null;
  }

  #readSoon(): void {
    this.#reading ??= setTimeout(() => {
      this.#reading = undefined;
      void this.read();
    }, REST);
  }
}
