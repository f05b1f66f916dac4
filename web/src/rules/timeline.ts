// A task's life as steps on a line, from what its record tells.

import type { Attempt, Task } from "../api/types";
import { moment, span } from "./time";
import { waitsFor } from "./waits";

export type Tone = "plain" | "running" | "good" | "bad" | "waiting";

export interface Step {
  at: number | null; // null: not known when, or still to come
  title: string;
  detail: string;
  error: string;
  tone: Tone;
  lasts: number | null; // milliseconds; null if it is a moment, or goes on
  told: string[]; // more of it, a line each
}

const KEPT = 20; // attempts that a record has at most: the latest
const NOTICEABLE = 50; // milliseconds; less than that is not said of an attempt

/** The steps in order. */
export function timeline(task: Task): Step[] {
  const waited = untilFirst(task);
  const told = waited === null ? [] : [`waited ${span(waited)}`];
  const steps = [step(moment(task.created_at), "Submitted", { lasts: waited, told })];
  const attempts = task.attempts ?? [];
  const left = leftOut(task, attempts.length);
  attempts.forEach((attempt, index) => {
    steps.push(attemptStep(attempt, index + 1 + left, task));
    const pause = pauseAfter(attempts, index);
    if (pause !== null) steps.push(pause);
  });
  const last = ending(task);
  if (last !== null) steps.push(last);
  return steps;
}

/** How many attempts came before those that the record has. */
function leftOut(task: Task, shown: number): number {
  if (shown < KEPT) return 0;
  const made = task.retry_count + (task.status === "pending" ? 0 : 1);
  return Math.max(0, made - shown);
}

function attemptStep(attempt: Attempt, number: number, task: Task): Step {
  const start = moment(attempt.started_at);
  const end = moment(attempt.ended_at);
  const goesOn = end === null && task.status === "running";
  const failed = attempt.error !== undefined;
  return step(start, `Attempt ${number}`, {
    detail: attempt.backend === undefined ? "" : `on ${attempt.backend}`,
    error: attempt.error ?? "",
    tone: goesOn ? "running" : failed ? "bad" : end === null ? "plain" : "good",
    lasts: start === null || end === null ? null : end - start,
    told: spent(attempt),
  });
}

/** Where the time of an attempt went. What it waited inside its backend is no running. */
function spent(attempt: Attempt): string[] {
  const start = moment(attempt.started_at);
  const end = moment(attempt.ended_at);
  const inside = waitedInside(attempt);
  const lines: string[] = [];
  if (start !== null && end !== null) {
    const ran = span(end - start - inside);
    const waited = `waited ${span(inside)} inside ${attempt.backend ?? "the backend"}`;
    lines.push(noticeable(inside) ? `ran ${ran}, ${waited}` : ran);
  }
  const first = moment(attempt.first_token_at);
  const load = (attempt.load ?? 0) * 1000;
  const parts: string[] = [];
  if (noticeable(load)) parts.push(`load ${span(load)}`);
  if (start !== null && first !== null && noticeable(first - start)) {
    parts.push(`first token after ${span(first - start)}`);
  }
  if (parts.length > 0) lines.push(parts.join(", "));
  return lines;
}

/** Milliseconds that an attempt waited inside its backend, as far as is known. */
export function waitedInside(attempt: Attempt | undefined): number {
  return (attempt?.waited_inside ?? 0) * 1000;
}

export function noticeable(milliseconds: number): boolean {
  return milliseconds >= NOTICEABLE;
}

function pauseAfter(attempts: readonly Attempt[], index: number): Step | null {
  const end = moment(attempts[index]?.ended_at);
  const next = moment(attempts[index + 1]?.started_at);
  if (end === null || next === null || next - end < 1) return null;
  const lasts = next - end;
  return step(end, "Waited for the next attempt", { tone: "waiting", lasts, told: [span(lasts)] });
}

function ending(task: Task): Step | null {
  const at = moment(task.completed_at);
  const error = task.error ?? "";
  switch (task.status) {
    case "completed":
      return step(at, "Completed", { tone: "good" });
    case "failed":
      return step(at, "Failed", { tone: "bad", error: repeated(task) ? "" : error });
    case "cancelled":
      return step(at, "Cancelled", { tone: "bad" });
    case "pending": {
      const due = moment(task.run_at);
      if (due !== null && waitsFor(task) !== null) {
        const title = (task.attempts ?? []).length > 0 ? "Next attempt" : "Delayed until";
        return step(due, title, { tone: "waiting" });
      }
      const place = task.queue_position;
      const detail =
        place === undefined ? "" : place === 1 ? "next in line" : `number ${place} in line`;
      const told = task.waits_for === undefined ? [] : [task.waits_for];
      return step(null, "Waiting", { tone: "waiting", detail, told });
    }
    case "running":
      return null;
  }
}

/** Whether the last attempt's error says what the task's does. */
function repeated(task: Task): boolean {
  return task.error !== undefined && task.attempts?.at(-1)?.error === task.error;
}

function untilFirst(task: Task): number | null {
  const created = moment(task.created_at);
  const first = moment(task.attempts?.[0]?.started_at);
  return created === null || first === null ? null : first - created;
}

function step(at: number | null, title: string, more: Partial<Step> = {}): Step {
  return { at, title, detail: "", error: "", tone: "plain", lasts: null, told: [], ...more };
}
