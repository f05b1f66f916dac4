import { describe, expect, it } from "vitest";
import type { Document, TaskType } from "../src/api/types";
import { answered, asked, readMessage } from "../src/rules/conversation";
import { vectors } from "../src/rules/embeddings";

const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg==";
const ask = (type: TaskType, payload: Document) => asked({ type, payload });

describe("what was asked", () => {
  it("is a conversation, with the system first", () => {
    const turns = ask("chat", {
      system: "Be brief.",
      messages: [
        { role: "user", content: "Hi", images: [PNG] },
        {
          role: "assistant",
          content: "",
          thinking: "hm",
          tool_calls: [{ function: { name: "f", arguments: { a: 1 } } }],
        },
        { role: "tool", tool_name: "f", content: "42" },
      ],
    });
    expect(turns.map((turn) => turn.label)).toEqual(["system", "user", "assistant", "tool f"]);
    expect(turns[1]?.images).toEqual([`data:image/png;base64,${PNG}`]);
    expect(turns[2]).toMatchObject({
      thinking: "hm",
      toolCalls: [{ name: "f", arguments: '{"a":1}' }],
    });
  });

  it("is a prompt, or texts to embed", () => {
    expect(ask("generate", { prompt: "p", system: "s" }).map((turn) => turn.text)).toEqual([
      "s",
      "p",
    ]);
    expect(ask("embed", { input: "one" }).map((turn) => turn.text)).toEqual(["one"]);
    expect(ask("embed", { input: ["one", "two"] })).toHaveLength(2);
  });

  it("may have OpenAI's parts, whose images are shown only if they are in the task", () => {
    const turn = readMessage({
      role: "developer",
      content: [
        { type: "text", text: "Look: " },
        { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } },
        { type: "image_url", image_url: { url: "https://elsewhere.example/a.png" } },
        { type: "input_audio", input_audio: {} },
      ],
    });
    expect(turn).toMatchObject({ role: "system", label: "developer", text: "Look: " });
    expect(turn.images).toHaveLength(1);
    expect(turn.notes).toHaveLength(2);
    expect(turn.notes[0]).toContain("https://elsewhere.example/a.png");
  });

  it.each<Document>([
    {},
    { messages: null },
    { messages: [null, 3, "x", [], { role: 5, content: { a: 1 } }] },
    { prompt: 7, images: [{}, "short", 9] },
    { input: [null, { a: 1 }] },
    { messages: [{ role: "user", content: [null, { image_url: null }], tool_calls: [null, {}] }] },
  ])("may be anything: %j", (payload) => {
    for (const turn of ask("chat", payload)) expect(typeof turn.text).toBe("string");
  });

  it("takes no address that could run something for an image", () => {
    const url = "data:text/html;base64,PHNjcmlwdD4=";
    const turn = readMessage({
      role: "user",
      content: [{ type: "image_url", image_url: { url } }],
    });
    expect(turn.images).toEqual([]);
  });
});

describe("what was answered", () => {
  it("has the shapes of both APIs", () => {
    const text = (result: Document) => answered(result)?.text;
    expect(text({ message: { role: "assistant", content: "a" }, done: true })).toBe("a");
    expect(text({ response: "b", thinking: "t" })).toBe("b");
    expect(text({ choices: [{ message: { role: "assistant", content: "c" } }] })).toBe("c");
    expect(text({ choices: [{ text: "d" }] })).toBe("d");
    expect(answered({ response: "b", thinking: "t" })?.thinking).toBe("t");
  });

  it("is nothing when it is not understood", () => {
    expect(answered(undefined)).toBeNull();
    expect(answered({})).toBeNull();
    expect(answered({ choices: [] })).toBeNull();
    expect(answered({ choices: [7], message: "x" })).toBeNull();
  });
});

describe("vectors", () => {
  it("are summarised in both shapes", () => {
    expect(
      vectors({
        embeddings: [
          [3, 4],
          [0, 1],
        ],
      }),
    ).toEqual([
      { size: 2, norm: 5, first: [3, 4] },
      { size: 2, norm: 1, first: [0, 1] },
    ]);
    expect(vectors({ data: [{ embedding: [3, 4] }] })).toHaveLength(1);
    expect(vectors({ embedding: [1] })).toHaveLength(1);
    const long = new Array<number>(1_000_000).fill(1);
    expect(vectors({ embedding: long })[0]).toMatchObject({ size: 1_000_000, norm: 1000 });
    const packed = Buffer.from(new Float32Array([3, 4]).buffer).toString("base64");
    expect(vectors({ data: [{ embedding: packed }] })).toEqual([
      { size: 2, norm: 5, first: [3, 4] },
    ]);
  });

  it("are none of what is not a vector", () => {
    expect(vectors({ embeddings: ["x", [], ["a"]] })).toEqual([]);
    expect(vectors({ data: [{ embedding: "AAAA" }, { embedding: "é" }, null] })).toEqual([]);
    expect(vectors(undefined)).toEqual([]);
  });
});
