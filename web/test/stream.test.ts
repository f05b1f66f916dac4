import { describe, expect, it } from "vitest";
import type { Chunk } from "../src/api/types";
import { blocks } from "../src/rules/blocks";
import { Lines } from "../src/rules/lines";
import { joined, SILENCE } from "../src/rules/stream";

function chunk(data: string, offset: number, more: Partial<Chunk> = {}): Chunk {
  return { data, offset, done: false, attempt: 1, ...more };
}

describe("joined", () => {
  it("joins what comes", () => {
    const output = joined(SILENCE, [
      chunk("", 1, { thinking: "hm " }),
      chunk("He", 2),
      chunk("llo", 3, { tool_calls: [{ function: { name: "f" } }] }),
    ]);
    expect(output).toMatchObject({ text: "Hello", thinking: "hm ", offset: 3, attempt: 1 });
    expect(output.toolCalls).toHaveLength(1);
    expect(output.status).toBeNull();
  });

  it("takes nothing twice", () => {
    const first = joined(SILENCE, [chunk("a", 1), chunk("b", 2)]);
    expect(joined(first, [chunk("b", 2), chunk("c", 3)]).text).toBe("abc");
  });

  it("begins anew with another attempt", () => {
    const first = joined(SILENCE, [chunk("old", 5)]);
    const next = joined(first, [
      chunk("", 0, { restart: true, attempt: 2 }),
      chunk("new", 1, { attempt: 2 }),
    ]);
    expect(next).toMatchObject({ text: "new", attempt: 2, offset: 1, restarts: 1 });
  });

  it("does not count the first beginning as a restart", () => {
    const output = joined(SILENCE, [chunk("", 0, { restart: true }), chunk("a", 1)]);
    expect(output).toMatchObject({ text: "a", restarts: 0 });
  });

  it("ends with a status", () => {
    const output = joined(SILENCE, [
      chunk("a", 1),
      chunk("", 1, { done: true, status: "failed", error: "boom" }),
    ]);
    expect(output).toMatchObject({ text: "a", status: "failed", error: "boom" });
  });
});

describe("Lines", () => {
  it("puts together what was cut anywhere", () => {
    const lines = new Lines();
    expect(lines.push('{"a"')).toEqual([]);
    expect(lines.push(":1}\n\n{")).toEqual(['{"a":1}', ""]);
    expect(lines.push("}\n")).toEqual(["{}"]);
    expect(lines.end()).toEqual([]);
  });

  it("keeps a last line without a line break", () => {
    const lines = new Lines();
    expect(lines.push("a\nb")).toEqual(["a"]);
    expect(lines.end()).toEqual(["b"]);
    expect(lines.end()).toEqual([]);
  });
});

describe("blocks", () => {
  it("leaves short text whole", () => {
    expect(blocks("a\nb\n")).toEqual(["a\nb\n"]);
    expect(blocks("")).toEqual([""]);
  });

  it("cuts long text at line breaks and loses nothing else", () => {
    const text = Array.from({ length: 5000 }, (_, index) => `line ${index}`).join("\n");
    const pieces = blocks(text);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join("\n")).toBe(text);
  });

  it("cuts text without line breaks, but no character in two", () => {
    const text = "x" + "😀".repeat(10_000);
    const pieces = blocks(text);
    expect(pieces.join("")).toBe(text);
    for (const piece of pieces) expect(() => encodeURIComponent(piece)).not.toThrow();
  });
});
