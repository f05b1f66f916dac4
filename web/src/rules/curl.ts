// A task as a request that submits it again.

import { SUBMITTED, type Document, type Task } from "../api/types";
import { writeExact } from "./exact";

/** The paths of APIs whose calls are tasks, if their bodies are JSON. */
const CALLS = [
  "/api/chat",
  "/api/generate",
  "/api/embed",
  "/api/embeddings",
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/embeddings",
  "/v1/rerank",
  "/v1/reranking",
  "/rerank",
  "/reranking",
  "/v1/images/generations",
  "/v1/audio/speech",
  "/v1/moderations",
  "/completion",
  "/infill",
];
/** The model of a call that named none. */
const UNNAMED = "default";
const OF_CALLS = new Set(["path", "client", "user_agent"]);

/** What to send where for a task like this one. */
export interface Again {
  path: string;
  headers: Record<string, string>;
  body: Document;
}

/** The path of the call that the task is; null if it is none. oq notes it in the metadata. */
export function callOf(task: Task): string | null {
  const noted = task.metadata ?? {};
  const path = noted["path"];
  const all = Object.keys(noted).every((name) => OF_CALLS.has(name));
  return all && "client" in noted && typeof path === "string" && CALLS.includes(path) ? path : null;
}

/** Whether a request can be made that submits it again: of a form with files only the form is kept
 *  on the server. */
export function repeatable(task: Task): boolean {
  return SUBMITTED.some((one) => one === task.type) || callOf(task) !== null;
}

/** A call again as a call: its backend knows fields that a task of oq's has not. */
export function again(task: Task): Again {
  const path = callOf(task);
  if (path === null) return { path: "/api/tasks", headers: {}, body: submission(task) };
  return {
    path,
    headers: {
      "X-OQ-Priority": String(task.priority),
      ...(task.timeout !== undefined && { "X-OQ-Timeout": String(task.timeout) }),
    },
    body: {
      ...(task.model !== UNNAMED && { model: task.model }),
      ...task.payload,
      ...options(task),
      // Which belongs to the caller, and stays when the options do.
      ...("stream_options" in task.payload && { stream: true }),
    },
  };
}

/** What to submit for a task like this one. */
export function submission(task: Task): Document {
  return {
    type: task.type,
    model: task.model,
    payload: task.payload,
    ...options(task),
    priority: task.priority,
    max_retries: task.max_retries,
    ...(task.timeout !== undefined && { timeout: task.timeout }),
    ...(task.metadata !== undefined && { metadata: task.metadata }),
  };
}

/** The command for a POSIX shell. */
export function curl(origin: string, { path, headers, body }: Again): string {
  const all = { "Content-Type": "application/json", ...headers };
  const words = Object.entries(all).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  return `curl ${quoted(origin + path)} ${words.join(" ")} -d ${quoted(writeExact(body, 2))}`;
}

function options(task: Task): Document {
  return task.options && Object.keys(task.options).length > 0 ? { options: task.options } : {};
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
