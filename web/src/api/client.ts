// The calls to the server that this page came from.

import type { Again } from "../rules/curl";
import { parseExact, writeExact } from "../rules/exact";
import type {
  Backend,
  BulkAction,
  BulkAnswer,
  BulkFilter,
  QueueStatus,
  Stats,
  StatsByModel,
  Summary,
  Task,
  Timeline,
} from "./types";

/** What the server refused, in its own words. `status` is 0 when it could not be reached. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export interface ListPage {
  rows: Summary[];
  next: string | null; // the address of the next page
}

const PATIENCE = 30_000; // milliseconds for an answer that is only read

const ENTRY = "/api/tasks";
// It goes on when the page does not listen any more, and says which task it is while it waits.
const DETACHED = { "X-OQ-Detach": "true", "X-OQ-Progress": "true" };
const json = { "Content-Type": "application/json" };

export const status = (): Promise<QueueStatus> => read("/api/status");
export const backends = (): Promise<Backend[]> => read("/api/backends");
export const timeline = (): Promise<Timeline> => read("/api/backends/timeline");
/** What happened within the window, to all models or to this one. */
export const stats = (window: string, model: string): Promise<Stats> =>
  read(`/api/stats?${new URLSearchParams({ window, ...(model !== "" && { model }) }).toString()}`);
export const modelStats = (): Promise<StatsByModel> => read("/api/models");
/** The task; what it holds of its user's is exact. */
export async function task(id: string): Promise<Task> {
  const answer = await send(one(id), { signal: AbortSignal.timeout(PATIENCE) });
  return parseExact(await answer.text()) as Task;
}
export const pause = (): Promise<void> => act("/api/queue/pause");
export const resume = (): Promise<void> => act("/api/queue/resume");
export const pauseModel = (model: string, paused: boolean): Promise<void> =>
  act(`/api/models/${paused ? "pause" : "resume"}`, "POST", JSON.stringify({ model }));
export const cancel = (id: string): Promise<void> => act(`${one(id)}/cancel`);
export const retry = (id: string): Promise<void> => act(`${one(id)}/retry`);
export const remove = (id: string): Promise<void> => act(one(id), "DELETE");
export const setPriority = (id: string, priority: number): Promise<void> =>
  act(`${one(id)}/priority`, "POST", JSON.stringify({ priority }));

/** Part of a listing; `address` is its path and query. */
export async function list(address: string, signal?: AbortSignal): Promise<ListPage> {
  const patience = AbortSignal.timeout(PATIENCE);
  const answer = await send(address, {
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
  });
  const next = /<([^>]+)>;\s*rel="next"/.exec(answer.headers.get("Link") ?? "")?.[1] ?? null;
  return { rows: (await answer.json()) as Summary[], next };
}

export function listAddress(query: URLSearchParams): string {
  return `${ENTRY}?${query.toString()}`;
}

export function count(query: URLSearchParams): Promise<{ count: number; exact: boolean }> {
  return read(`${ENTRY}/count?${query.toString()}`);
}

/** Does the same to many tasks: those with these ids, or all that a filter admits. */
export async function bulk(
  action: BulkAction,
  which: { ids: string[] } | { filter: BulkFilter },
  priority?: number,
): Promise<BulkAnswer> {
  const body = { action, ...which, ...(priority !== undefined && { priority }) };
  const answer = await send(`${ENTRY}/bulk`, {
    method: "POST",
    headers: json,
    body: JSON.stringify(body),
  });
  return (await answer.json()) as BulkAnswer;
}

/** Submits a task, or makes a call that nobody stays for. The id; the same `key` gives no second. */
export async function submit({ path, headers, body }: Again, key: string): Promise<string> {
  const isTask = path === ENTRY;
  const answer = await send(path, {
    method: "POST",
    headers: { ...json, ...headers, "Idempotency-Key": key, ...(!isTask && DETACHED) },
    body: writeExact(isTask || path.includes("embed") ? body : { ...body, stream: true }),
  });
  if (isTask) return ((await answer.json()) as { task_id: string }).task_id;
  void answer.body?.cancel();
  return answer.headers.get("X-OQ-Task-ID") ?? "";
}

/** Submits lines of JSON, all or none, and gives their ids. */
export async function submitLines(lines: string[]): Promise<string[]> {
  const answer = await send(`${ENTRY}/batch`, {
    method: "POST",
    headers: { "Content-Type": "application/x-ndjson" },
    body: lines.join("\n"),
  });
  return ((await answer.json()) as { task_ids: string[] }).task_ids;
}

/** The names of the models that the backends have; none if they do not tell. */
export async function models(): Promise<string[]> {
  try {
    const known = (await backends()).flatMap((backend) => backend.models ?? []);
    return [...new Set(known.map((one) => one.name))].sort();
  } catch {
    return [];
  }
}

export function streamAddress(id: string, offset: number, attempt: number | null): string {
  const from = attempt === null ? "" : `&attempt=${attempt}`;
  return `${one(id)}/stream?offset=${offset}${from}`;
}

/** A call's answer, once it is known to be a good one. */
export async function send(address: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(address, { ...init, redirect: "error", credentials: "omit" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached.", 0);
  }
  if (!answer.ok) throw new ApiError(await reason(answer), answer.status);
  return answer;
}

/** What to show of anything that was thrown. */
export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function isMissing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 404 || error.status === 410);
}

async function read<T>(address: string): Promise<T> {
  const answer = await send(address, { signal: AbortSignal.timeout(PATIENCE) });
  return (await answer.json()) as T;
}

async function act(address: string, method = "POST", body?: string): Promise<void> {
  await send(address, { method, ...(body !== undefined && { body, headers: json }) });
}

function one(id: string): string {
  return `${ENTRY}/${encodeURIComponent(id)}`;
}

async function reason(answer: Response): Promise<string> {
  try {
    const body: unknown = await answer.json();
    if (typeof body === "object" && body !== null && "error" in body) {
      if (typeof body.error === "string") return body.error;
    }
  } catch {
    // Not JSON: the status has to do.
  }
  return `The server answered ${answer.status}.`;
}
