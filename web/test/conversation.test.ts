import { describe, expect, it } from "vitest";
import type { Document, TaskType } from "../src/api/types";
import { answered, asked, readMessage } from "../src/rules/conversation";
import { media, ranking } from "../src/rules/media";
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

describe("other APIs", () => {
  it("ask with queries and files", () => {
    expect(ask("rerank", { query: "q", documents: ["a"] })[0]).toMatchObject({
      label: "query",
      text: "q",
    });
    const file = { filename: "a.wav", content_type: "audio/wav", bytes: 3 };
    expect(ask("transcribe", { file })[0]?.notes).toEqual(["a.wav (audio/wav, 3 bytes)"]);
    expect(ask("image", { prompt: "p", image: [file] })[0]).toMatchObject({
      text: "p",
      notes: ["a.wav (audio/wav, 3 bytes)"],
    });
  });

  it("answer with images, transcripts and completions", () => {
    expect(answered({ data: [{ b64_json: PNG }] })?.images).toEqual([
      `data:image/png;base64,${PNG}`,
    ]);
    const linked = answered({ data: [{ url: "https://a.example/x.png" }] });
    expect(linked?.images).toEqual([]);
    expect(linked?.notes[0]).toContain("a.example");
    expect(answered({ text: "heard" })?.text).toBe("heard");
    expect(answered({ content: "said", stop: true })?.text).toBe("said");
    expect(answered({ document: [{ content: "first", stop: true }] })?.text).toBe("first");
    expect(answered({ data: [{ embedding: [1] }] })).toBeNull();
  });

  it("answer with sound", () => {
    const id = "0198";
    const task = { id, payload: {}, result: { content_type: "audio/mpeg", bytes: 3 } };
    expect(media(task)).toEqual({
      sound: true,
      type: "audio/mpeg",
      bytes: 3,
      src: "/api/tasks/0198/content",
    });
    const streamed = { id, payload: { response_format: "wav" }, result: { audio: "AAAA" } };
    expect(media(streamed)?.src).toBe("data:audio/wav;base64,AAAA");
    expect(media({ ...streamed, result: { audio: "<script>" } })).toBeNull();
    expect(media({ id, payload: {}, result: { content_type: "text/html", bytes: 3 } })?.sound).toBe(
      false,
    );
  });

  it("answer with documents and their scores", () => {
    const results = [{ index: 1, relevance_score: 2.5 }, { index: 0, score: -1 }, null, {}];
    expect(ranking({ payload: { documents: ["a", { text: "b" }] }, result: { results } })).toEqual([
      { index: 1, score: 2.5, text: "b" },
      { index: 0, score: -1, text: "a" },
    ]);
    expect(ranking({ payload: {}, result: { document: [{ index: 0, score: 1 }] } })).toEqual([
      { index: 0, score: 1, text: "" },
    ]);
    expect(ranking({ payload: {}, result: {} })).toEqual([]);
  });
});
