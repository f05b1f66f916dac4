// The AI SDK with its providers for OpenAI (the Responses API by default), servers like it,
// Anthropic, and Ollama.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { createOllama } from "ollama-ai-provider-v2";
import { MODEL, QUESTION, URL, all, run, test } from "./cases.js";

const models = {
  openai: createOpenAI({ baseURL: `${URL}/v1`, apiKey: "-" })(MODEL),
  "openai, chat": createOpenAI({ baseURL: `${URL}/v1`, apiKey: "-" }).chat(MODEL),
  compatible: createOpenAICompatible({ name: "own", baseURL: `${URL}/v1` })(MODEL),
  anthropic: createAnthropic({ baseURL: `${URL}/v1`, apiKey: "-" })(MODEL),
  ollama: createOllama({ baseURL: `${URL}/api` })(MODEL),
};

for (const [name, model] of Object.entries(models)) {
  test(`${name}: whole`, async () => {
    const told = await generateText({ model, prompt: QUESTION, maxRetries: 0 });
    return [told.text, told.finishReason, told.usage.outputTokens];
  });
  test(`${name}: streamed`, async () => {
    const told = streamText({ model, prompt: QUESTION, maxRetries: 0, onError: () => {} });
    return all(told.textStream, (part) => part);
  });
}
await run();
