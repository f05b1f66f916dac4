// What an event changes in a task that is shown. The server has the last word: what events do not
// say (a queue position, an attempt's end) comes with the next reading.

import type { QueueEvent, Summary } from "../api/types";

/** The task after the event; the same object if it changes nothing. */
export function applied(task: Summary, event: QueueEvent): Summary {
  const at = event.timestamp;
  switch (event.type) {
    case "task_started":
      return leave(
        { ...task, status: event.status, started_at: at },
        "queue_position",
        "eta",
        "run_at",
      );
    case "task_completed":
      return leave({ ...task, status: event.status, completed_at: at }, "error");
    case "task_failed":
    case "task_cancelled": {
      const error = text(event.data?.["error"]);
      const ended = { ...task, status: event.status, completed_at: at };
      return leave(error === null ? ended : { ...ended, error }, "queue_position", "eta", "run_at");
    }
    case "task_retrying": {
      const runAt = text(event.data?.["run_at"]);
      const error = text(event.data?.["error"]);
      const waits = leave({ ...task, status: event.status }, "started_at", "completed_at");
      return {
        ...waits,
        ...(runAt !== null && { run_at: runAt }),
        ...(error !== null && { error }),
      };
    }
    case "priority_updated": {
      const priority = event.data?.["priority"];
      return typeof priority === "number" ? { ...task, priority } : task;
    }
    default:
      return task;
  }
}

/** The last events of each task in a batch, in the order of their seq. */
export function byTask(events: readonly QueueEvent[]): Map<string, QueueEvent[]> {
  const found = new Map<string, QueueEvent[]>();
  for (const event of events) {
    const known = found.get(event.task_id);
    if (known) known.push(event);
    else found.set(event.task_id, [event]);
  }
  return found;
}

function leave(task: Summary, ...names: (keyof Summary)[]): Summary {
  const kept = { ...task };
  for (const name of names) Reflect.deleteProperty(kept, name);
  return kept;
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
