// The live feed's frames: what arrived, and from where to go on after a lost connection.

import type { QueueEvent, QueueStatus } from "../api/types";

export type Frame =
  | { kind: "hello"; seq: number; status: QueueStatus }
  | { kind: "event"; event: QueueEvent }
  | { kind: "lagged"; missed: number };

/** The items of one text frame; none of what cannot be read. */
export function readFrame(text: string): Frame[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  const items: unknown[] = Array.isArray(value) ? value : [value];
  return items.map(readItem).filter((item) => item !== null);
}

function readItem(item: unknown): Frame | null {
  if (typeof item !== "object" || item === null || !("type" in item)) return null;
  const body = item as unknown;
  if (item.type === "hello") {
    const { seq, status } = body as { seq: number; status: QueueStatus };
    return { kind: "hello", seq, status };
  }
  if (item.type === "lagged") return { kind: "lagged", ...(body as { missed: number }) };
  return { kind: "event", event: body as QueueEvent };
}

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;

/** Milliseconds before the attempt after `failures` failed ones: doubling, with half of it random, so
 * that all open pages do not come back at once. */
export function backoff(failures: number, random: () => number): number {
  const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(failures, 16));
  return most / 2 + (most / 2) * random();
}

/** The seq to resume after; null to start from now. A hello that is behind what was seen comes from
 * another store, whose numbers say nothing about this one's. */
export function resumable(seen: number | null, hello: number): boolean {
  return seen !== null && seen <= hello;
}
