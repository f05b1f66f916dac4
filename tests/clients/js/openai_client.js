// The official `openai` package.
import OpenAI from "openai";
import { MODEL, QUESTION, URL, all, run, test } from "./cases.js";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: "-", maxRetries: 0 });
const messages = [{ role: "user", content: QUESTION }];

test("chat", async () => (await client.chat.completions.create({ model: MODEL, messages })).choices[0].message);
test("chat, streamed", async () =>
  all(
    await client.chat.completions.create({ model: MODEL, messages, stream: true }),
    (part) => part.choices[0]?.delta.content ?? null,
  ));
test("responses", async () => (await client.responses.create({ model: MODEL, input: QUESTION })).output_text);
test("responses, streamed", async () =>
  all(await client.responses.create({ model: MODEL, input: QUESTION, stream: true }), (event) => event.type));
test("embeddings", async () => (await client.embeddings.create({ model: MODEL, input: "a" })).data[0].embedding);
test("an error", async () =>
  client.chat.completions.create({ model: MODEL, messages, simulate: { status: 400, error: "too long" } }));
await run();
