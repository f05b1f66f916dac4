import type { Document, Task } from "../api/types";

const SHOWN = new Set(["messages", "prompt", "input", "system", "images"]);

/** What a task asks for besides its words: options, and payload fields of other kinds; null
 * if there is nothing. */
export function settings(task: Task): Document | null {
  const rest = Object.entries(task.payload).filter(([name]) => !SHOWN.has(name));
  const found: Document = {};
  if (task.options && Object.keys(task.options).length > 0) found["options"] = task.options;
  if (rest.length > 0) found["payload"] = Object.fromEntries(rest);
  if (task.timeout !== undefined) found["timeout"] = `${task.timeout} s`;
  return Object.keys(found).length === 0 ? null : found;
}
