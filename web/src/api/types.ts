// The wire's shapes, made from what /openapi.json says of them (`make page-check`). Documents of
// users and models are `unknown`: nothing may be assumed of them.

import type { components, operations } from "./schema";

type Schemas = components["schemas"];
export type Document = Record<string, unknown>;

/** As the server sends it: what is not set is left out, and never null. */
type Sent<T> = T extends (infer One)[]
  ? Sent<One>[]
  : T extends object
    ? {
        [Name in keyof T]: object extends Pick<T, Name>
          ? Sent<Exclude<T[Name], null>>
          : Sent<T[Name]>;
      }
    : T;
/** The same, with these fields as documents. */
type With<T, Names extends keyof T> = Omit<Sent<T>, Names> & { [Name in Names]?: Document };

export type Status = Schemas["Status"];
export type TaskType = Schemas["TaskType"];
/** The types of tasks that can be submitted; the others are made by calls of an API. */
export type Submitted = Schemas["Submission"]["type"];
export type EventType = Schemas["EventType"];
export type Attempt = Sent<Schemas["Attempt"]>;
export type Usage = Sent<Schemas["Usage"]>;
/** A task in a listing with `view=summary`. */
export type Summary = With<Schemas["TaskSummary"], "metadata">;
export type Task = With<Schemas["Task"], "metadata" | "payload" | "options" | "result"> & {
  payload: Document;
};
/** A backend; its models are told by /api/backends only. */
export type Backend = Sent<Schemas["BackendStatus"]> &
  Partial<Pick<Sent<Schemas["BackendView"]>, "models" | "loaded">>;
export type Slots = Sent<Schemas["Slots"]>;
export type QueueStatus = Sent<Schemas["QueueStatus"]>;
export type QueueEvent = With<Schemas["Event"], "data">;
export type Chunk = Sent<Schemas["Chunk"]>;
export type Point = Sent<Schemas["Point"]>;
export type Timeline = Sent<Schemas["Timeline"]>;
export type Stats = Sent<Schemas["Stats"]>;
export type ModelStats = Sent<Schemas["ModelStats"]>;
export type StatsByModel = Sent<Schemas["StatsByModel"]>;
export type BulkAction = Schemas["Verb"];
export type BulkAnswer = Sent<Schemas["BulkOutcome"]>;
/** The filter as the parameters of a listing, and as the body of a bulk action. */
export type Query = NonNullable<operations["count"]["parameters"]["query"]>;
export type BulkFilter = Schemas["BulkFilter"];

/** The values in the order in which people see them; the compiler sees that none is missing. */
const all =
  <One extends string>() =>
  <Listed extends readonly One[]>(
    ...listed: Listed & (Exclude<One, Listed[number]> extends never ? unknown : never)
  ): Listed =>
    listed;

export const STATUSES = all<Status>()("pending", "running", "completed", "failed", "cancelled");
export const SUBMITTED = all<Submitted>()("chat", "generate", "embed");
export const TYPES = all<TaskType>()(
  ...SUBMITTED,
  "rerank",
  "image",
  "speech",
  "transcribe",
  "moderate",
);
export const EVENT_TYPES = all<EventType>()(
  "task_submitted",
  "task_started",
  "task_completed",
  "task_failed",
  "task_retrying",
  "task_cancelled",
  "priority_updated",
  "task_progress",
);
