import { describe, expect, it } from "vitest";
import type { Backend, QueueStatus } from "../src/api/types";
import { sentence, untilEmpty } from "../src/rules/sentence";
import { listed } from "../src/rules/words";

const UP: Backend = { name: "box1", kind: "ollama", url: "http://here", up: true, running: 0 };
const DOWN: Backend = { ...UP, name: "box2", up: false, error: "refused" };
const IDLE: QueueStatus = {
  pending_tasks: 0,
  running_tasks: 0,
  completed_tasks: 7,
  failed_tasks: 0,
  cancelled_tasks: 0,
  total_tasks: 7,
  queues_by_priority: {},
  workers_active: 0,
  workers_idle: 4,
  delayed_tasks: 0,
  retrying_tasks: 0,
  paused: false,
  paused_models: [],
  draining: false,
  uptime: 9,
  event_seq: 1,
  problem: null,
  empty_at: null,
  backends: [UP],
};

function said(status: Partial<QueueStatus>, eta: string | null = null) {
  const { text, mood } = sentence({ status: { ...IDLE, ...status }, eta });
  return [text.replace(/[\u2068\u2069]/g, ""), mood];
}

describe("the sentence on top", () => {
  it("says what happens", () => {
    expect(said({})).toEqual(["Nothing runs and nothing waits.", "calm"]);
    expect(said({ running_tasks: 1 })).toEqual(["1 task runs and none waits.", "busy"]);
    expect(said({ running_tasks: 4, pending_tasks: 1280 })).toEqual([
      "4 tasks run and 1,280 wait.",
      "busy",
    ]);
    expect(said({ running_tasks: 4, pending_tasks: 1 })[0]).toBe("4 tasks run and 1 waits.");
    expect(said({ pending_tasks: 1 })[0]).toBe("1 task waits and none runs.");
  });

  it("counts what waits for a time apart", () => {
    const later = { pending_tasks: 3, delayed_tasks: 3 };
    expect(said(later)).toEqual(["Nothing to do now; 3 tasks wait for a later time.", "calm"]);
    expect(said({ pending_tasks: 5, delayed_tasks: 1, running_tasks: 2 })[0]).toBe(
      "2 tasks run and 4 wait; 1 task waits for a later time.",
    );
  });

  it("says in words when the queue is empty", () => {
    const now = new Date(2026, 2, 1, 16, 37, 0).getTime();
    expect(untilEmpty(now + 185_000, now)).toBe("about 3 min; empty at 16:40");
    expect(untilEmpty(now + 24 * 3_600_000, now)).toBe("about 1 d; empty at 2026-03-02 16:37");
    expect(untilEmpty(now, now)).toBe(null);
    expect(untilEmpty(null, now)).toBe(null);
  });

  it("says how long it takes, unless nothing starts", () => {
    const eta = "about 3 min; empty at 16:40";
    const busy = { running_tasks: 2, pending_tasks: 9 };
    expect(said(busy, eta)[0]).toBe("2 tasks run and 9 wait, about 3 min; empty at 16:40.");
    expect(said({ ...busy, paused: true }, eta)[0]).toBe(
      "2 tasks run and 9 wait. The queue is paused.",
    );
    expect(said({ running_tasks: 2 }, eta)[0]).toBe("2 tasks run and none waits.");
    expect(said({ ...busy, backends: [DOWN] }, eta)[0]).toBe(
      "2 tasks run and 9 wait. No backend answers.",
    );
  });

  it("says what keeps tasks from starting", () => {
    const waits = { pending_tasks: 9 };
    expect(said({ ...waits, backends: [UP, DOWN], paused_models: ["a", "b"] })).toEqual([
      "9 tasks wait and none runs. box2 is down. a and b are paused.",
      "held",
    ]);
    expect(said({ paused_models: ["a"] })).toEqual(["Nothing runs and nothing waits.", "calm"]);
    expect(said({ ...waits, draining: true, paused: true })[0]).toContain("is shutting down.");
    expect(said({ problem: "the disk is full" })[1]).toBe("held");
  });

  it("keeps hostile names to themselves", () => {
    const name = "evil\u202e";
    const { text } = sentence({ status: { ...IDLE, pending_tasks: 1, paused_models: [name] } });
    expect(text).toContain(`\u2068${name}\u2069 is paused.`);
  });
});

it("lists a few names, and says how many more there are", () => {
  expect(listed([])).toBe("");
  expect(listed(["a"])).toBe("a");
  expect(listed(["a", "b", "c"])).toBe("a, b and c");
  expect(listed(["a", "b", "c", "d", "e"])).toBe("a, b, c and 2 more");
});
