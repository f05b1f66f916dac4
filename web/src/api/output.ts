// Reads a task's output as it is generated, and goes on after a lost connection where that ended.

import { backoff } from "../rules/feed";
import { Lines } from "../rules/lines";
import { isMissing, send, streamAddress } from "./client";
import type { Chunk } from "./types";

/** Where the reader is: what it asks for when it comes back. */
export interface Place {
  offset: number;
  attempt: number | null;
}

/** Calls `take` with chunks until the one that is done, or until aborted. `place` tells from where to
 * go on; it is asked anew for each connection. */
export async function follow(
  id: string,
  place: () => Place,
  take: (chunks: Chunk[]) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const { offset, attempt } = place();
      const done = await readOnce(streamAddress(id, offset, attempt), signal, (chunks) => {
        failures = 0;
        take(chunks);
      });
      if (done) return;
    } catch (error) {
      if (signal.aborted || isMissing(error)) return;
    }
    await pause(backoff(failures, Math.random), signal);
  }
}

async function readOnce(
  address: string,
  signal: AbortSignal,
  take: (chunks: Chunk[]) => void,
): Promise<boolean> {
  const answer = await send(address, { signal, headers: { Accept: "application/x-ndjson" } });
  if (!answer.body) return true;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const lines = new Lines();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false; // without the last chunk: it was cut
    const whole = lines.push(value).filter((line) => line !== "");
    const chunks = whole.map((line) => JSON.parse(line) as Chunk);
    if (chunks.length === 0) continue;
    take(chunks);
    if (chunks.at(-1)?.done) return true;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
