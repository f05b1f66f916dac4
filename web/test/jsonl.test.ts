import { describe, expect, it } from "vitest";
import { Batches, keyed, lineErrors, looksWrong } from "../src/rules/jsonl";

describe("Batches", () => {
  it("counts lines as the file does, also empty ones", () => {
    const batches = new Batches(2);
    const full = batches.push(["{a}", "", "  ", "{b}", "{c}"]);
    expect(full).toHaveLength(1);
    expect(full[0]?.lines.map((line) => line.number)).toEqual([1, 4]);
    expect(batches.end()[0]?.lines).toEqual([{ number: 5, text: "{c}" }]);
    expect(batches.end()).toEqual([]);
  });

  it("bounds the bytes of a batch, counted in UTF-8", () => {
    const batches = new Batches(100, 20);
    const full = batches.push(["ä".repeat(9), "b", "c"]);
    expect(full.map((batch) => batch.lines.length)).toEqual([1]);
    expect(batches.end()[0]?.lines).toHaveLength(2);
  });

  it("sends a line that is too large by itself", () => {
    const batches = new Batches(100, 10);
    const all = [...batches.push(["x".repeat(50), "y"]), ...batches.end()];
    expect(all.map((batch) => batch.lines.length)).toEqual([1, 1]);
  });
});

it("sees what cannot be a task", () => {
  const wrong = (text: string) => looksWrong({ number: 1, text });
  expect(wrong('{"type":"chat"}')).toBeNull();
  expect(wrong("{")).toMatch(/not JSON/);
  expect(wrong("[1]")).toMatch(/not an object/);
  expect(wrong('{"custom_id":"a","url":"/v1/chat/completions","body":{}}')).toMatch(/oq batch run/);
});

describe("lineErrors", () => {
  const batch = [3, 7, 8].map((number) => ({ number, text: "{}" }));

  it("names the lines of the file", () => {
    const answer =
      "nothing was stored: item 0: there is no field `model`; item 2: payload: one; two (chat task)";
    expect(lineErrors(answer, batch)).toEqual([
      { number: 3, error: "there is no field `model`" },
      { number: 8, error: "payload: one; two (chat task)" },
    ]);
  });

  it("finds none in other answers", () => {
    expect(lineErrors("the queue is full (5 tasks wait); try again in 3 s", batch)).toEqual([]);
    expect(lineErrors("nothing was stored: item 9: unknown", batch)).toEqual([]);
  });
});

describe("keyed", () => {
  it("gives a line a key that its own beats", () => {
    const line = { number: 4, text: ' {"type":"chat","idempotency_key":"mine"} ' };
    expect(keyed(line, "u")).toBe(
      '{"idempotency_key":"u-4","type":"chat","idempotency_key":"mine"}',
    );
    expect((JSON.parse(keyed(line, "u")) as { idempotency_key: string }).idempotency_key).toBe(
      "mine",
    );
  });

  it("leaves alone what is no task", () => {
    expect(keyed({ number: 1, text: "{ }" }, "u")).toBe("{ }");
    expect(keyed({ number: 1, text: "[]" }, "u")).toBe("[]");
  });
});
