// The official `@anthropic-ai/sdk` package.
import Anthropic from "@anthropic-ai/sdk";
import { MODEL, QUESTION, URL, all, run, test } from "./cases.js";

const client = new Anthropic({ baseURL: URL, apiKey: "-", maxRetries: 0 });
const asked = { model: MODEL, max_tokens: 64, messages: [{ role: "user", content: QUESTION }] };

test("a message", async () => {
  const answer = await client.messages.create(asked);
  return [answer.content, answer.stop_reason];
});
test("events", async () => all(await client.messages.create({ ...asked, stream: true }), (event) => event.type));
test("the final message of a stream", async () => (await client.messages.stream(asked).finalMessage()).content);
test("tokens are counted", async () => {
  const { max_tokens, ...rest } = asked;
  return (await client.messages.countTokens(rest)).input_tokens;
});
await run();
