import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Upload } from "../src/state/upload.svelte";

let stored: string[]; // by their keys: what is sent twice is stored once
let failures: number[]; // statuses of the next answers, before any good one

function answer(_: string, init: RequestInit): Promise<Response> {
  const failure = failures.shift();
  if (failure === 0) return Promise.reject(new TypeError("connection lost"));
  if (failure !== undefined) {
    return Promise.resolve(Response.json({ error: "not now" }, { status: failure }));
  }
  const lines = String(init.body).split("\n");
  const tasks = lines.map((line) => JSON.parse(line) as Record<string, string>);
  const wrong = tasks.flatMap((task, index) =>
    task["model"] === undefined ? [`item ${index}: there is no field \`model\``] : [],
  );
  if (wrong.length > 0) {
    const error = `nothing was stored: ${wrong.join("; ")}`;
    return Promise.resolve(Response.json({ error }, { status: 400 }));
  }
  for (const task of tasks) {
    if (!stored.includes(task["idempotency_key"] ?? "")) stored.push(task["idempotency_key"] ?? "");
  }
  return Promise.resolve(Response.json({ task_ids: tasks.map(() => "id") }, { status: 201 }));
}

async function uploaded(text: string): Promise<Upload> {
  const upload = new Upload(new File([text], "tasks.jsonl"));
  const sending = upload.send();
  await vi.runAllTimersAsync();
  await sending;
  return upload;
}

beforeEach(() => {
  vi.useFakeTimers();
  stored = [];
  failures = [];
  vi.stubGlobal("fetch", answer);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("Upload", () => {
  it("stores every line of a file", async () => {
    const upload = await uploaded(Array.from({ length: 1234 }, () => '{"model":"m"}').join("\n"));
    expect(upload).toMatchObject({ state: "done", stored: 1234, failed: 0, trouble: null });
    expect(new Set(stored).size).toBe(1234);
  });

  it("stores the good lines, and names and keeps the bad ones", async () => {
    const upload = await uploaded('{"model":"m"}\n\nnonsense\n{"type":"chat"}\n{"model":"m"}');
    expect(upload).toMatchObject({ state: "done", stored: 2, failed: 2 });
    expect(upload.errors.map((one) => one.number)).toEqual([3, 4]);
    expect(upload.errors[1]?.error).toBe("there is no field `model`");
    expect(upload.badLines).toEqual(["nonsense", '{"type":"chat"}']);
  });

  it("tries again while the server is full or away, and stores nothing twice", async () => {
    failures = [429, 0, 503];
    const upload = await uploaded('{"model":"m"}\n{"model":"m"}');
    expect(upload).toMatchObject({ state: "done", stored: 2 });
    expect(stored).toHaveLength(2);
  });

  it("stops and says why when it cannot go on", async () => {
    failures = Array.from({ length: 20 }, () => 503);
    const upload = await uploaded('{"model":"m"}');
    expect(upload).toMatchObject({ state: "stopped", stored: 0, trouble: "not now" });
  });
});
