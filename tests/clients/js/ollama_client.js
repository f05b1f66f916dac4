// The official `ollama` package.
import { Ollama } from "ollama";
import { MODEL, QUESTION, URL, all, run, test } from "./cases.js";

const client = new Ollama({ host: URL });
const messages = [{ role: "user", content: QUESTION }];

test("chat", async () => (await client.chat({ model: MODEL, messages })).message);
test("chat, streamed", async () =>
  all(await client.chat({ model: MODEL, messages, stream: true }), (part) => part.message.content));
test("embed", async () => (await client.embed({ model: MODEL, input: ["a"] })).embeddings);
test("an error in the middle", async () => {
  const options = { simulate: { fault: "error", at: 3, error: "out of memory" } };
  return all(await client.chat({ model: MODEL, messages, stream: true, options }), (part) => part.done);
});
test("an unknown model", async () =>
  client.chat({ model: MODEL, messages, options: { simulate: { status: 404, error: "no such model" } } }));
await run();
