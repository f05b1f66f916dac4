// A file of tasks on its way to the server, batch by batch. Good lines are stored and bad ones named:
// whoever mends these and drops the file again would store the good ones twice, so the bad lines are
// kept to be saved as a file of their own.

import * as api from "../api/client";
import {
  Batches,
  keyed,
  lineErrors,
  looksWrong,
  type Batch,
  type Line,
  type LineError,
} from "../rules/jsonl";
import { Lines } from "../rules/lines";

const MOST_ERRORS = 1000; // named; more are counted
const MOST_TRIES = 6;

export class Upload {
  state: "sending" | "done" | "stopped" = $state("sending");
  read = $state(0); // bytes
  stored = $state(0);
  failed = $state(0);
  errors: LineError[] = $state.raw([]);
  trouble: string | null = $state(null);
  readonly badLines: string[] = [];

  readonly #id = randomId();
  readonly #batches = new Batches();
  #stopped = false;

  constructor(readonly file: File) {}

  async send(): Promise<void> {
    const lines = new Lines();
    const reader = this.file.stream().pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        for (const batch of this.#batches.push(lines.push(value))) await this.#sendBatch(batch);
        this.read = Math.min(this.file.size, this.read + value.length);
      }
      const last = [...this.#batches.push(lines.end()), ...this.#batches.end()];
      for (const batch of last) await this.#sendBatch(batch);
      this.read = this.file.size;
      this.state = "done";
    } catch (error) {
      this.trouble = this.#stopped ? null : api.said(error);
      this.state = "stopped";
      await reader.cancel().catch(() => undefined);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async #sendBatch(batch: Batch): Promise<void> {
    let lines = batch.lines.filter((line) => !this.#refused(line, looksWrong(line)));
    while (lines.length > 0) {
      if (this.#stopped) throw new Error("stopped");
      try {
        const texts = lines.map((line) => keyed(line, this.#id));
        this.stored += (
          await patiently(
            () => api.submitLines(texts),
            () => this.#stopped,
          )
        ).length;
        return;
      } catch (error) {
        const wrong = lineErrors(api.said(error), lines);
        if (!(error instanceof api.ApiError) || error.status !== 400 || wrong.length === 0)
          throw error;
        const reasons = new Map(wrong.map((one) => [one.number, one.error]));
        lines = lines.filter((line) => !this.#refused(line, reasons.get(line.number) ?? null));
      }
    }
  }

  #refused(line: Line, error: string | null): boolean {
    if (error === null) return false;
    this.failed++;
    this.badLines.push(line.text);
    if (this.errors.length < MOST_ERRORS)
      this.errors = [...this.errors, { number: line.number, error }];
    return true;
  }
}

/** Tries again while the server is full, away, or not reached. */
async function patiently<T>(work: () => Promise<T>, stopped: () => boolean): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const passes = error instanceof api.ApiError && [0, 429, 503].includes(error.status);
      if (!passes || tries >= MOST_TRIES || stopped()) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
    }
  }
}

/** A name for this upload. (`crypto.randomUUID` is missing on pages that came over plain HTTP.) */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
