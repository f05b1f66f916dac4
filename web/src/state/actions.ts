// What people do to tasks, with a message that says what was done and how to take it back.

import * as api from "../api/client";
import type { BulkAction, BulkAnswer, Document, Summary } from "../api/types";
import { counted, priorityName } from "../rules/numbers";
import { isolated } from "../rules/words";
import { toasts } from "./toasts.svelte";

type Named = Pick<Summary, "id" | "priority" | "status">;

/** Does it, and says so if it fails. Whether it was done. */
async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    toasts.fail(api.said(error));
    return false;
  }
}

export async function cancel(task: Named): Promise<boolean> {
  const done = await attempt(() => api.cancel(task.id));
  const back = async () => void (await attempt(() => api.retry(task.id)));
  if (done) toasts.say("Task cancelled.", back);
  return done;
}

export async function retry(task: Named): Promise<boolean> {
  const done = await attempt(() => api.retry(task.id));
  if (done) toasts.say("Task queued again.");
  return done;
}

/** To be confirmed before it is called: nothing brings a deleted task back. */
export async function remove(task: Named): Promise<boolean> {
  const done = await attempt(() => api.remove(task.id));
  if (done) toasts.say("Task deleted.");
  return done;
}

export async function setPriority(task: Named, priority: number): Promise<boolean> {
  if (priority === task.priority) return true;
  const done = await attempt(() => api.setPriority(task.id, priority));
  const before = task.priority;
  const back = async () => void (await attempt(() => api.setPriority(task.id, before)));
  if (done) toasts.say(`Priority is now ${priorityName(priority)}.`, back);
  return done;
}

/** Pauses a model, or resumes it. */
export async function setModelPaused(model: string, paused: boolean): Promise<boolean> {
  const done = await attempt(() => api.pauseModel(model, paused));
  const said = paused ? "is paused" : "goes on";
  if (done) toasts.say(`${isolated(model)} ${said}.`);
  return done;
}

const DONE: Record<BulkAction, string> = {
  cancel: "cancelled",
  retry: "queued again",
  delete: "deleted",
  priority: "moved",
};

export type Which = { tasks: readonly Named[] } | { filter: Document };

/** The same to many. What single tasks allow is undone: a cancel by a retry, a priority by the old
 * one; of "all that match" nobody has noted what they were. */
export async function bulk(action: BulkAction, which: Which, priority?: number): Promise<boolean> {
  const target =
    "tasks" in which ? { ids: which.tasks.map((task) => task.id) } : { filter: which.filter };
  const answer: BulkAnswer = { matched: 0, done: 0, skipped: 0, problems: [], more: false };
  const done = await attempt(async () => {
    do {
      const part = await api.bulk(action, target, priority);
      answer.matched += part.matched;
      answer.done += part.done;
      answer.skipped += part.skipped;
      answer.problems.push(...part.problems);
      answer.more = (part.more ?? false) && part.done > 0;
      // A call changes only so many. Those that were cancelled do not match again; those that
      // were moved do.
    } while (answer.more && action !== "priority");
  });
  if (!done) return false;
  report(action, answer, "tasks" in which ? undoing(action, which.tasks) : null);
  return true;
}

function report(action: BulkAction, answer: BulkAnswer, undo: (() => Promise<void>) | null): void {
  const text = `${counted(answer.done, "task")} ${DONE[action]}.`;
  const skipped = answer.matched - answer.done;
  const first = answer.problems[0];
  if (answer.more) toasts.fail("More tasks match than one call moves (queue.max_bulk).");
  if (skipped === 0) toasts.say(text, undo);
  else if (answer.done > 0) {
    toasts.say(`${text} ${counted(skipped, "other")} could not be${why(first?.error)}`, undo);
  } else toasts.fail(`No task was ${DONE[action]}${why(first?.error)}`);
}

function why(error: string | undefined): string {
  return error === undefined ? "." : `: ${error}`;
}

function undoing(action: BulkAction, tasks: readonly Named[]): (() => Promise<void>) | null {
  if (action === "cancel") {
    const live = tasks.filter((task) => task.status === "pending" || task.status === "running");
    const ids = live.map((task) => task.id);
    return async () => void (await attempt(() => api.bulk("retry", { ids })));
  }
  if (action !== "priority") return null;
  const before = new Map<number, string[]>();
  for (const task of tasks)
    before.set(task.priority, [...(before.get(task.priority) ?? []), task.id]);
  return async () => {
    for (const [priority, ids] of before) {
      await attempt(() => api.bulk("priority", { ids }, priority));
    }
  };
}
