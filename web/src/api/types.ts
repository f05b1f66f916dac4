// The wire's shapes, as /openapi.json describes them. Documents of users and models are `unknown`:
// nothing may be assumed of them.

export const STATUSES = ["pending", "running", "completed", "failed", "cancelled"] as const;
export const TYPES = ["chat", "generate", "embed"] as const;
export type Status = (typeof STATUSES)[number];
export type TaskType = (typeof TYPES)[number];
export type Document = Record<string, unknown>;

export interface Attempt {
  started_at: string;
  ended_at?: string;
  error?: string;
  backend?: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

/** A task in a listing with `view=summary`. */
export interface Summary {
  id: string;
  type: TaskType;
  priority: number;
  status: Status;
  model: string;
  created_at: string;
  retry_count: number;
  max_retries: number;
  started_at?: string;
  completed_at?: string;
  run_at?: string;
  timeout?: number;
  error?: string;
  attempts?: Attempt[];
  queue_position?: number;
  usage?: Usage;
  metadata?: Document;
  excerpt?: string;
}

export interface Task extends Summary {
  payload: Document;
  options?: Document;
  result?: Document;
}

export interface Backend {
  name: string;
  kind: string;
  url: string;
  up: boolean;
  running: number;
  max_concurrency?: number | null;
  error?: string | null;
  models?: { name: string }[];
  loaded?: { name: string }[];
}

export interface QueueStatus {
  pending_tasks: number;
  running_tasks: number;
  completed_tasks: number;
  failed_tasks: number;
  cancelled_tasks: number;
  total_tasks: number;
  queues_by_priority: Record<string, number>;
  workers_active: number;
  workers_idle: number;
  delayed_tasks: number;
  retrying_tasks: number;
  paused: boolean;
  draining: boolean;
  uptime: number;
  event_seq: number;
  problem: string | null;
  backends: Backend[];
}

export const EVENT_TYPES = [
  "task_submitted",
  "task_started",
  "task_completed",
  "task_failed",
  "task_retrying",
  "task_cancelled",
  "priority_updated",
  "task_progress",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export interface QueueEvent {
  seq: number;
  task_id: string;
  type: EventType;
  status: Status;
  timestamp: string;
  data?: Document;
}

export interface Chunk {
  data: string;
  offset: number;
  done: boolean;
  attempt?: number;
  restart?: boolean;
  thinking?: string;
  tool_calls?: unknown[];
  status?: Status;
  error?: string;
}

export interface Point {
  t: string;
  submitted: number;
  completed: number;
  failed: number;
  cancelled: number;
  retried: number;
  wait_p50: number | null;
  wait_p95: number | null;
  run_p50: number | null;
  run_p95: number | null;
  tokens: number;
}

export interface Stats {
  interval: number;
  points: Point[];
  oldest_waiting: string | null;
}

export type BulkAction = "cancel" | "retry" | "delete" | "priority";

export interface BulkAnswer {
  matched: number;
  done: number;
  skipped: number;
  problems: { task_id: string; error: string }[];
  more?: boolean; // others match, beyond what one call does
}
