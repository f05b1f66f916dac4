// How the queue is, in a sentence or two: what is at the top of the overview.

import type { QueueStatus } from "../api/types";
import { counted, whole } from "./numbers";
import { ago, localTime } from "./time";
import { isolated, listed } from "./words";

/** What the sentence is made of. `eta` says how long what waits will take, in words such as "about
 * 3 min; empty at 16:40"; null if that is not known. */
export interface Facts {
  status: QueueStatus;
  eta?: string | null;
}

/** `eta` of a queue that is expected to be empty at this time, in milliseconds since 1970. */
export function untilEmpty(at: number | null, now: number): string | null {
  if (at === null || at < now + 1500) return null;
  const clock = localTime(at, now).replace(/:\d\d$/, "");
  return `about ${ago(at, now).replace(/^in /, "")}; empty at ${clock}`;
}

export type Mood = "calm" | "busy" | "held";

/** The sentence, and whether something keeps tasks from starting. */
export function sentence({ status, eta = null }: Facts): { text: string; mood: Mood } {
  const running = status.running_tasks;
  const ready = Math.max(0, status.pending_tasks - status.delayed_tasks);
  const held = hindrances(status, ready);
  const main = happens(running, ready, status.delayed_tasks);
  const time = eta !== null && eta !== "" && ready > 0 && !stands(status) ? `, ${eta}` : "";
  const text = [`${main}${time}.`, ...held].join(" ");
  return { text, mood: held.length > 0 ? "held" : running + ready > 0 ? "busy" : "calm" };
}

function happens(running: number, ready: number, delayed: number): string {
  const later =
    delayed > 0 ? `; ${counted(delayed, "task")} ${waits(delayed)} for a later time` : "";
  if (running === 0 && ready === 0) {
    return delayed > 0 ? `Nothing to do now${later}` : "Nothing runs and nothing waits";
  }
  if (ready === 0) return `${tasks(running, "runs", "run")} and none waits${later}`;
  if (running === 0) return `${tasks(ready, "waits", "wait")} and none runs${later}`;
  return `${tasks(running, "runs", "run")} and ${whole(ready)} ${waits(ready)}${later}`;
}

/** Whether nothing at all can start. */
function stands(status: QueueStatus): boolean {
  return status.paused || status.draining || status.backends.every((one) => !one.up);
}

/** What keeps tasks from starting, a sentence for each; of models that are paused only while
 * something waits. */
function hindrances(status: QueueStatus, ready: number): string[] {
  const found: string[] = [];
  if (status.problem) found.push("Nothing can be stored.");
  if (status.draining) found.push("The server is shutting down.");
  else if (status.paused) found.push("The queue is paused.");
  const down = status.backends.filter((one) => !one.up).map((one) => isolated(one.name));
  if (down.length > 0 && down.length === status.backends.length) {
    found.push("No backend answers.");
  } else if (down.length > 0) found.push(`${listed(down)} ${is(down.length)} down.`);
  const paused = (status.paused_models ?? []).map(isolated);
  if (paused.length > 0 && ready > 0) found.push(`${listed(paused)} ${is(paused.length)} paused.`);
  return found;
}

function tasks(count: number, one: string, many: string): string {
  return `${counted(count, "task")} ${count === 1 ? one : many}`;
}

const waits = (count: number): string => (count === 1 ? "waits" : "wait");
const is = (count: number): string => (count === 1 ? "is" : "are");
