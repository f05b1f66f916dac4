import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { Attempt, Task } from "../src/api/types";
import { again, curl, submission } from "../src/rules/curl";
import { againOf, draftOf, emptyDraft, message, submissionOf } from "../src/rules/draft";
import { parseExact, writeExact } from "../src/rules/exact";
import { seriesOf } from "../src/rules/series";
import { settings } from "../src/rules/settings";
import { timeline } from "../src/rules/timeline";
import { facts } from "../src/rules/timings";
import { waitsFor } from "../src/rules/waits";

const T = (second: number) => new Date(Date.UTC(2026, 0, 31, 12, 0, second)).toISOString();
const TASK: Task = {
  id: "a",
  type: "chat",
  priority: 5,
  status: "pending",
  model: "m",
  created_at: T(0),
  retry_count: 0,
  max_retries: 3,
  payload: { messages: [{ role: "user", content: "it's" }] },
};
const titles = (task: Task) => timeline(task).map((step) => step.title);

describe("timeline", () => {
  it("of a task that waits says its place", () => {
    const steps = timeline({ ...TASK, queue_position: 3 });
    expect(steps.map((step) => step.title)).toEqual(["Submitted", "Waiting"]);
    expect(steps[1]?.detail).toBe("number 3 in line");
    expect(titles({ ...TASK, run_at: T(60) })).toEqual(["Submitted", "Delayed until"]);
  });

  it("has each attempt, the pauses between, and the end", () => {
    const steps = timeline({
      ...TASK,
      status: "failed",
      retry_count: 1,
      error: "boom",
      started_at: T(7),
      completed_at: T(9),
      attempts: [
        { started_at: T(1), ended_at: T(3), error: "busy", backend: "b1" },
        { started_at: T(7), ended_at: T(9), error: "boom" },
      ],
    });
    expect(steps.map((step) => [step.title, step.lasts])).toEqual([
      ["Submitted", 1000],
      ["Attempt 1", 2000],
      ["Waited for the next attempt", 4000],
      ["Attempt 2", 2000],
      ["Failed", null],
    ]);
    expect(steps[1]).toMatchObject({ error: "busy", detail: "on b1", tone: "bad" });
    expect(steps[4]?.error).toBe(""); // the last attempt says it
  });

  it("numbers attempts by how many there were, of which only the latest are kept", () => {
    const task: Task = {
      ...TASK,
      status: "running",
      retry_count: 30,
      attempts: Array.from({ length: 20 }, () => ({ started_at: T(1) })),
    };
    expect(titles(task)[1]).toBe("Attempt 12");
    expect(titles(task).at(-1)).toBe("Attempt 31");
    expect(timeline(task).at(-1)?.tone).toBe("running");
    const waits: Task = { ...task, status: "pending", run_at: T(60) };
    expect(titles(waits).at(-2)).toBe("Attempt 30");
  });

  it("says where the time of an attempt went", () => {
    const attempt = {
      started_at: T(1),
      first_token_at: T(7),
      ended_at: new Date(Date.parse(T(7)) + 200).toISOString(),
      waited_inside: 4.7,
      load: 0.85,
      backend: "box1",
    };
    const told = (of: Attempt) =>
      timeline({ ...TASK, status: "completed", attempts: [of] })[1]?.told;
    expect(told(attempt)).toEqual([
      "ran 1.5 s, waited 4.7 s inside box1",
      "load 850 ms, first token after 6.0 s",
    ]);
    expect(told({ ...attempt, waited_inside: 0.01, load: 0.02, first_token_at: T(1) })).toEqual([
      "6.2 s",
    ]);
    expect(told({ started_at: T(1) })).toEqual([]);
  });

  it("says why a task waits", () => {
    const why = "box1: b → c, 2 of b still running";
    expect(timeline({ ...TASK, queue_position: 1, waits_for: why })[1]?.told).toEqual([why]);
    const due = { run_at: T(1), retry_count: 1, queue_position: 1, waits_for: why };
    expect(timeline({ ...TASK, ...due }).at(-1)).toMatchObject({ title: "Waiting", told: [why] });
  });

  it("announces a retry", () => {
    const task: Task = {
      ...TASK,
      retry_count: 1,
      run_at: T(30),
      attempts: [{ started_at: T(1), ended_at: T(2), error: "busy" }],
    };
    expect(titles(task)).toEqual(["Submitted", "Attempt 1", "Next attempt"]);
    expect(titles({ ...task, status: "cancelled" })[1]).toBe("Attempt 1");
    expect(waitsFor(task)).toBe("retry");
    expect(waitsFor({ ...task, retry_count: 0 })).toBe("delay");
    expect(waitsFor({ ...task, queue_position: 1 })).toBeNull();
    expect(waitsFor({ ...TASK })).toBeNull();
  });
});

it("tells where the time went", () => {
  const list = facts(
    {
      ...TASK,
      status: "completed",
      started_at: T(2),
      completed_at: T(5),
      usage: { prompt_tokens: 12, completion_tokens: 1000 },
      result: { eval_count: 100, eval_duration: 2e9, load_duration: 5e8, done_reason: "stop" },
    },
    Date.now(),
  );
  const found = Object.fromEntries(list.map((fact) => [fact.name, fact.value]));
  expect(found).toMatchObject({
    waited: "2.0 s",
    "ran for": "3.0 s",
    "in all": "5.0 s",
    "answer tokens": "1,000",
    "tokens per second": "50.0",
    "model load": "500 ms",
    "stopped because": "stop",
  });
});

it("does not count as running what a task waited inside its backend", () => {
  const attempts = [{ started_at: T(2), ended_at: T(8), waited_inside: 4.5, backend: "box1" }];
  const done: Task = {
    ...TASK,
    status: "completed",
    started_at: T(2),
    completed_at: T(8),
    attempts,
  };
  const found = Object.fromEntries(facts(done, 0).map((fact) => [fact.name, fact.value]));
  expect(found).toMatchObject({ "ran for": "1.5 s", "waited inside box1": "4.5 s" });
});

describe("curl", () => {
  it("says the same to a shell as to the server", () => {
    const command = curl("http://localhost:7125", again(TASK)).replace(/^curl/, "printf '%s\\n'");
    const words = execFileSync("sh", ["-c", command], { encoding: "utf8" });
    expect(words).toContain("http://localhost:7125/api/tasks\n");
    expect(JSON.parse(words.slice(words.indexOf("{")))).toEqual({
      type: "chat",
      model: "m",
      payload: TASK.payload,
      priority: 5,
      max_retries: 3,
    });
  });
});

const BODY =
  '{"model":"m","messages":[{"role":"user","content":"it\'s"}],"max_tokens":5,' +
  '"seed":9007199254740993,"response_format":{"type":"json_object"},"options":{"n":18446744073709551615}}';
const { options, model, ...payload } = parseExact(BODY) as Record<string, unknown>;
const CALL: Task = {
  ...TASK,
  priority: 10,
  timeout: 60,
  model: model as string,
  payload,
  options: options as Record<string, unknown>,
  metadata: { path: "/v1/chat/completions", client: "127.0.0.1", user_agent: "x" },
};

describe("a call of another API", () => {
  it("is made again as that call, with all that it said", () => {
    const made = again(CALL);
    expect(made.path).toBe("/v1/chat/completions");
    expect(made.headers).toEqual({ "X-OQ-Priority": "10", "X-OQ-Timeout": "60" });
    expect(JSON.parse(writeExact(made.body))).toEqual(JSON.parse(BODY));
    const command = curl("http://localhost:7125", made);
    expect(command).toContain("'http://localhost:7125/v1/chat/completions'");
    expect(command).toContain("-H 'X-OQ-Priority: 10'");
    expect(command).toContain('"seed": 9007199254740993');
  });

  it("is cloned with all that it said", () => {
    const { again: made, problems } = againOf(draftOf(CALL));
    expect(problems).toEqual([]);
    expect(made.path).toBe("/v1/chat/completions");
    expect(JSON.parse(writeExact(made.body))).toEqual(JSON.parse(BODY));
    expect(writeExact(made.body)).toContain('"seed":9007199254740993');
    expect(writeExact(made.body)).toContain('"n":18446744073709551615');
  });

  it("has no delay, no retries and no metadata", () => {
    const draft = {
      ...draftOf(CALL),
      delay: "2026-01-31T12:00",
      maxRetries: "1",
      system: "Be brief.",
    };
    const { problems } = againOf(draft);
    expect(problems.map((one) => one.field)).toEqual(["delay", "maxRetries", "system"]);
    expect(againOf({ ...draft, type: "generate", prompt: "x" }).again.path).toBe("/api/tasks");
  });

  it("is no task that only has a path in its metadata", () => {
    for (const metadata of [
      { path: "/api/chat" },
      { ...CALL.metadata, user: "ada" },
      { client: "c" },
    ]) {
      expect(again({ ...CALL, metadata }).path).toBe("/api/tasks");
    }
  });
});

describe("draft", () => {
  it("keeps what the form does not show, whatever the type", () => {
    for (const [type, payload] of [
      ["chat", { prompt: "hi", system: ["x"] }],
      ["embed", { prompt: "hi", truncate: false }],
      ["generate", { prompt: "p", messages: [1], format: "", seed: null }],
    ] as const) {
      const { body, problems } = submissionOf(draftOf({ ...TASK, type, payload }));
      expect(problems).toEqual([]);
      expect(body["payload"]).toEqual(payload);
    }
  });

  it("makes the task that it was filled from", () => {
    const task: Task = {
      ...TASK,
      priority: 15,
      timeout: 30,
      options: { temperature: 0 },
      metadata: { user: "ada" },
      payload: {
        system: "Be brief.",
        messages: [{ role: "user", content: "hi", images: ["x"] }],
        format: { type: "object" },
        tools: [],
      },
    };
    const { body, problems } = submissionOf(draftOf(task));
    expect(problems).toEqual([]);
    expect(body).toEqual({ ...submission(task), timeout: "30" });
  });

  it("makes a generate and an embed task", () => {
    const generate = { ...emptyDraft("generate"), model: "m", prompt: "p", format: "json" };
    expect(submissionOf(generate).body["payload"]).toEqual({ prompt: "p", format: "json" });
    const embed = { ...emptyDraft("embed"), model: "m", input: "one\n\ntwo\n" };
    expect(submissionOf(embed).body["payload"]).toEqual({ input: ["one", "two"] });
    expect(submissionOf({ ...embed, input: "one" }).body["payload"]).toEqual({ input: "one" });
  });

  it("leaves texts to embed as they were", () => {
    const inputs = [
      "one",
      ["one", "two"],
      ["a\nb", "c"],
      ["", "x"],
      [[1, 2], [3]],
      ["[1]"],
      "[] x",
    ];
    for (const input of inputs) {
      const task: Task = { ...TASK, type: "embed", payload: { input } };
      const { body, problems } = submissionOf(draftOf(task));
      const texts = Array.isArray(input) ? input : [input];
      expect(problems).toEqual([]);
      expect(body["payload"]).toEqual({ input: texts.length === 1 ? texts[0] : texts });
    }
  });

  it("keeps a prompt that is no text until another is written", () => {
    const task: Task = { ...TASK, type: "generate", payload: { prompt: ["a", "b"], n: 2 } };
    const draft = draftOf(task);
    expect(submissionOf(draft)).toMatchObject({ problems: [], body: { payload: task.payload } });
    expect(submissionOf({ ...draft, prompt: "c" }).body["payload"]).toEqual({ prompt: "c", n: 2 });
  });

  it("delays", () => {
    const draft = {
      ...emptyDraft(),
      model: "m",
      messages: [message("user", "x")],
      delay: "2026-01-31T12:00",
    };
    expect(submissionOf(draft).body["run_at"]).toBe(new Date(2026, 0, 31, 12).toISOString());
  });

  it("says what is wrong, field by field", () => {
    const draft = { ...emptyDraft(), options: "{", format: "[]", metadata: "3" };
    const fields = submissionOf(draft).problems.map((one) => one.field);
    expect(fields.sort()).toEqual(["format", "messages", "metadata", "model", "options"]);
  });
});

it("shows what a task asks for besides its words", () => {
  expect(settings(TASK)).toBeNull();
  const found = settings({
    ...TASK,
    options: { seed: 1 },
    payload: { ...TASK.payload, think: true },
  });
  expect(found).toEqual({ options: { seed: 1 }, payload: { think: true } });
});

it("turns the server's history into curves", () => {
  const point = {
    t: T(0),
    submitted: 5,
    completed: 4,
    failed: 1,
    cancelled: 0,
    retried: 0,
    tokens: 100,
    prompt_tokens: 7,
    ran: true,
  };
  const none = { wait_p50: null, wait_p95: null, run_p50: 0.5, run_p95: 2 };
  const later = { ...point, ...none, t: T(10), completed: 1, run_p50: 1 };
  const points = [{ ...point, ...none }, later];
  expect(seriesOf({ interval: 10, points, oldest_waiting: null })).toEqual({
    times: [Date.parse(T(0)) / 1000, Date.parse(T(10)) / 1000],
    throughput: [
      [24, null],
      [6, null],
      [30, null],
    ],
    waits: [
      [null, null],
      [null, null],
    ],
    runs: [
      [0.5, 1],
      [2, 2],
    ],
    tokens: [[10, null]],
  });
  const away = { ...point, ...none, ran: false, tokens: 0 };
  const { tokens } = seriesOf({ interval: 10, points: [away, ...points], oldest_waiting: null });
  expect(tokens).toEqual([[null, 10, null]]); // a gap, and not a zero
});
