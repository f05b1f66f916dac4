import type { Summary } from "../api/types";

/** What a pending task waits for besides its turn: its time, or that of its next attempt. One that has
 * a place in line waits for its turn alone, whatever it waited for before. */
export function waitsFor(
  task: Pick<Summary, "status" | "run_at" | "retry_count" | "queue_position">,
): "delay" | "retry" | null {
  if (task.status !== "pending" || task.run_at === undefined) return null;
  if (task.queue_position !== undefined) return null;
  return task.retry_count > 0 ? "retry" : "delay";
}
