import type { Summary } from "../api/types";

/** What a pending task waits for besides its turn: its time, or that of its next attempt. */
export function waitsFor(
  task: Pick<Summary, "status" | "run_at" | "retry_count">,
): "delay" | "retry" | null {
  if (task.status !== "pending" || task.run_at === undefined) return null;
  return task.retry_count > 0 ? "retry" : "delay";
}
