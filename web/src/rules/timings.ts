// Where a task's time went, and what it used, from what the backend reported.

import type { Document, Task } from "../api/types";
import { whole } from "./numbers";
import { moment, span } from "./time";
import { noticeable, waitedInside } from "./timeline";

export interface Fact {
  name: string;
  value: string;
}

/** Facts for the side of a task's page; what is not known is left out. */
export function facts(task: Task, now: number): Fact[] {
  return [...times(task, now), ...usage(task), ...reported(task.result)];
}

function times(task: Task, now: number): Fact[] {
  const created = moment(task.created_at);
  const started = moment(task.started_at);
  const first = moment(task.attempts?.[0]?.started_at) ?? started;
  const ended = moment(task.completed_at);
  const found: Fact[] = [];
  if (created !== null && first !== null) {
    found.push({ name: "waited", value: span(first - created) });
  } else if (created !== null && task.status === "pending") {
    found.push({ name: "waits for", value: span(now - created) });
  }
  if (started !== null && (ended !== null || task.status === "running")) {
    const last = task.attempts?.at(-1);
    const inside = waitedInside(last);
    const ran = span((ended ?? now) - started - inside);
    found.push({ name: ended === null ? "runs for" : "ran for", value: ran });
    if (noticeable(inside)) {
      const where = last?.backend ?? "the backend";
      found.push({ name: `waited inside ${where}`, value: span(inside) });
    }
  }
  if (created !== null && ended !== null) {
    found.push({ name: "in all", value: span(ended - created) });
  }
  return found;
}

function usage(task: Task): Fact[] {
  if (!task.usage) return [];
  const { prompt_tokens: prompt, completion_tokens: completion } = task.usage;
  const found = [{ name: "prompt tokens", value: whole(prompt) }];
  if (task.type !== "embed") found.push({ name: "answer tokens", value: whole(completion) });
  return found;
}

/** Ollama's own figures: durations in nanoseconds. */
function reported(result: Document | undefined): Fact[] {
  if (result === undefined) return [];
  const found: Fact[] = [];
  const durations: [string, string][] = [
    ["load_duration", "model load"],
    ["prompt_eval_duration", "prompt evaluation"],
    ["eval_duration", "generation"],
  ];
  for (const [key, name] of durations) {
    const value = result[key];
    if (typeof value === "number" && value > 0) found.push({ name, value: span(value / 1e6) });
  }
  const speed = tokensPerSecond(result);
  if (speed !== null) found.push({ name: "tokens per second", value: speed.toFixed(1) });
  const reason = result["done_reason"] ?? finishReason(result);
  if (typeof reason === "string") found.push({ name: "stopped because", value: reason });
  return found;
}

function tokensPerSecond(result: Document): number | null {
  const count = result["eval_count"];
  const duration = result["eval_duration"];
  if (typeof count !== "number" || typeof duration !== "number" || duration <= 0) return null;
  return count / (duration / 1e9);
}

function finishReason(result: Document): unknown {
  const choices = result["choices"];
  const first: unknown = Array.isArray(choices) ? choices[0] : null;
  return typeof first === "object" && first !== null && "finish_reason" in first
    ? first.finish_reason
    : undefined;
}
