// A task as a command that submits it again.

import type { Document, Task } from "../api/types";

/** What to submit for a task like this one. */
export function submission(task: Task): Document {
  return {
    type: task.type,
    model: task.model,
    payload: task.payload,
    ...(task.options && Object.keys(task.options).length > 0 && { options: task.options }),
    priority: task.priority,
    max_retries: task.max_retries,
    ...(task.timeout !== undefined && { timeout: task.timeout }),
    ...(task.metadata !== undefined && { metadata: task.metadata }),
  };
}

/** The command for a POSIX shell. */
export function curl(origin: string, body: Document): string {
  const json = JSON.stringify(body, null, 2);
  return `curl ${quoted(`${origin}/api/tasks`)} -H 'Content-Type: application/json' -d ${quoted(json)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
