import { describe, expect, it } from "vitest";
import type { EventType, QueueEvent, Status, Summary } from "../src/api/types";
import { applied, byTask } from "../src/rules/events";
import { backoff, readFrame, resumable } from "../src/rules/feed";

const TASK: Summary = {
  id: "a",
  type: "chat",
  priority: 5,
  status: "pending",
  model: "m",
  created_at: "2026-01-31T12:00:00Z",
  retry_count: 0,
  max_retries: 3,
  queue_position: 4,
};
const AT = "2026-01-31T12:00:05Z";

function event(type: EventType, status: Status, data?: Record<string, unknown>, id = "a", seq = 1) {
  const one: QueueEvent = { seq, task_id: id, type, status, timestamp: AT };
  return data === undefined ? one : { ...one, data };
}

describe("applied", () => {
  const running = applied(TASK, event("task_started", "running"));

  it("starts a task, which then has no place in line", () => {
    expect(running.status).toBe("running");
    expect(running.started_at).toBe(AT);
    expect(running).not.toHaveProperty("queue_position");
  });

  it("ends it", () => {
    const done = applied({ ...running, error: "old" }, event("task_completed", "completed"));
    expect(done).toMatchObject({ status: "completed", completed_at: AT });
    expect(done).not.toHaveProperty("error");
    const failed = applied(running, event("task_failed", "failed", { error: "boom" }));
    expect(failed).toMatchObject({ status: "failed", error: "boom", completed_at: AT });
    expect(applied(TASK, event("task_cancelled", "cancelled")).status).toBe("cancelled");
  });

  it("lets a retry wait", () => {
    const data = { run_at: "2026-01-31T12:01:00Z", error: "busy" };
    const waits = applied(running, event("task_retrying", "pending", data));
    expect(waits).toMatchObject({ status: "pending", run_at: data.run_at, error: "busy" });
    expect(waits).not.toHaveProperty("started_at");
  });

  it("moves it to another priority", () => {
    expect(applied(TASK, event("priority_updated", "pending", { priority: 15 })).priority).toBe(15);
    expect(applied(TASK, event("priority_updated", "pending", { priority: "x" }))).toBe(TASK);
  });

  it("leaves what it was given as it was", () => {
    expect(TASK).toMatchObject({ status: "pending", queue_position: 4 });
  });
});

it("groups events by task and keeps their order", () => {
  const events = [
    event("task_submitted", "pending", undefined, "a", 1),
    event("task_submitted", "pending", undefined, "b", 2),
    event("task_started", "running", undefined, "a", 3),
  ];
  const groups = byTask(events);
  expect([...groups.keys()]).toEqual(["a", "b"]);
  expect(groups.get("a")?.map((one) => one.seq)).toEqual([1, 3]);
});

describe("readFrame", () => {
  it("takes one item or many", () => {
    const one = event("task_started", "running");
    expect(readFrame(JSON.stringify(one))).toEqual([{ kind: "event", event: one }]);
    const frames = readFrame(JSON.stringify([one, { type: "lagged", missed: 7 }]));
    expect(frames.map((frame) => frame.kind)).toEqual(["event", "lagged"]);
  });

  it("takes the greeting", () => {
    const [hello] = readFrame(JSON.stringify({ type: "hello", seq: 12, status: { paused: true } }));
    expect(hello).toMatchObject({ kind: "hello", seq: 12, status: { paused: true } });
  });

  it("passes over what it cannot read", () => {
    expect(readFrame("nonsense")).toEqual([]);
    expect(readFrame("[1, null, {}]")).toEqual([]);
  });
});

describe("coming back", () => {
  it("waits longer each time, up to a limit, and never the same for all", () => {
    expect(backoff(0, () => 0)).toBe(250);
    expect(backoff(0, () => 1)).toBe(500);
    expect(backoff(3, () => 1)).toBe(4000);
    expect(backoff(50, () => 1)).toBe(15_000);
  });

  it("resumes only where the numbers are the same store's", () => {
    expect(resumable(null, 5)).toBe(false);
    expect(resumable(5, 5)).toBe(true);
    expect(resumable(5, 900)).toBe(true);
    expect(resumable(900, 5)).toBe(false);
  });
});
