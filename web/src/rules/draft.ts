// The submit form: what is in its fields, and the task that they make.

import type { Document, Task, TaskType } from "../api/types";
import { isDocument } from "./conversation";

export interface DraftMessage {
  key: number;
  role: string;
  content: string;
  rest: Document; // fields that the form does not show (images, tool calls), passed on as they are
}

export interface Draft {
  type: TaskType;
  model: string;
  system: string;
  messages: DraftMessage[];
  prompt: string;
  input: string; // one text a line, or a JSON array
  priority: string;
  delay: string; // a datetime-local value
  timeout: string;
  maxRetries: string;
  options: string; // JSON objects, or empty
  format: string; // "json", or a JSON schema, or empty
  metadata: string;
  extra: Document; // payload fields that the form does not show
}

export interface Problem {
  field: keyof Draft;
  text: string;
}

let keys = 0;

export function message(role: string, content = "", rest: Document = {}): DraftMessage {
  return { key: ++keys, role, content, rest };
}

export function emptyDraft(type: TaskType = "chat"): Draft {
  return {
    type,
    model: "",
    system: "",
    messages: [message("user")],
    prompt: "",
    input: "",
    priority: "5",
    delay: "",
    timeout: "",
    maxRetries: "",
    options: "",
    format: "",
    metadata: "",
    extra: {},
  };
}

/** The form filled in as a task was submitted. */
export function draftOf(task: Task): Draft {
  const { messages, prompt, input, system, format, ...rest } = task.payload;
  const extra = typeof prompt === "string" || prompt === undefined ? rest : { ...rest, prompt };
  const draft = emptyDraft(task.type);
  return {
    ...draft,
    model: task.model,
    system: typeof system === "string" ? system : "",
    messages: Array.isArray(messages) ? messages.map(draftMessage) : draft.messages,
    prompt: typeof prompt === "string" ? prompt : "",
    input: input === undefined ? "" : lined(input),
    priority: String(task.priority),
    timeout: task.timeout === undefined ? "" : String(task.timeout),
    maxRetries: String(task.max_retries),
    options: pretty(task.options),
    format: format === undefined ? "" : typeof format === "string" ? format : pretty(format),
    metadata: pretty(task.metadata),
    extra,
  };
}

/** The task that the fields make, or what is wrong with them. */
export function submissionOf(draft: Draft): { body: Document; problems: Problem[] } {
  const problems: Problem[] = [];
  const read = (field: "options" | "metadata") => readObject(draft[field], field, problems);
  if (draft.model.trim() === "") problems.push({ field: "model", text: "Name a model." });
  const body: Document = {
    type: draft.type,
    model: draft.model.trim(),
    payload: { ...draft.extra, ...payloadOf(draft, problems) },
    priority: Number(draft.priority),
  };
  const options = read("options");
  if (options !== null) body["options"] = options;
  const metadata = read("metadata");
  if (metadata !== null) body["metadata"] = metadata;
  if (draft.timeout.trim() !== "") body["timeout"] = draft.timeout.trim();
  if (draft.maxRetries.trim() !== "") body["max_retries"] = Number(draft.maxRetries);
  if (draft.delay !== "") body["run_at"] = new Date(draft.delay).toISOString();
  return { body, problems };
}

function payloadOf(draft: Draft, problems: Problem[]): Document {
  const system = draft.system.trim() === "" ? {} : { system: draft.system };
  switch (draft.type) {
    case "chat": {
      const said = draft.messages.filter((one) => one.content !== "" || hasMore(one));
      if (said.length === 0) problems.push({ field: "messages", text: "Write a message." });
      const messages = said.map(({ role, content, rest }) => ({ role, content, ...rest }));
      return { messages, ...system, ...formatOf(draft, problems) };
    }
    case "generate":
      if (draft.prompt === "" && !("prompt" in draft.extra))
        problems.push({ field: "prompt", text: "Write a prompt." });
      return {
        ...(draft.prompt !== "" && { prompt: draft.prompt }),
        ...system,
        ...formatOf(draft, problems),
      };
    case "embed": {
      const texts = textsOf(draft.input);
      if (texts.length === 0)
        problems.push({ field: "input", text: "Write a text, or one a line." });
      return { input: texts.length === 1 ? texts[0] : texts };
    }
  }
}

/** The texts to embed, one a line; a JSON array can have others too. */
function textsOf(input: string): unknown[] {
  if (input.trim().startsWith("[")) {
    try {
      const value: unknown = JSON.parse(input);
      if (Array.isArray(value)) return value;
    } catch {
      // A text that begins with a bracket.
    }
  }
  return input.split("\n").filter((line) => line.trim() !== "");
}

/** The opposite: as lines if they say the same, else as JSON. */
function lined(input: unknown): string {
  const texts: unknown[] = Array.isArray(input) ? input : [input];
  const lines = texts.join("\n");
  const same = JSON.stringify(textsOf(lines)) === JSON.stringify(texts);
  return same ? lines : JSON.stringify(texts, null, 2);
}

function formatOf(draft: Draft, problems: Problem[]): Document {
  const format = draft.format.trim();
  if (format === "") return {};
  if (format === "json") return { format };
  const schema = readObject(format, "format", problems);
  return schema === null ? {} : { format: schema };
}

function readObject(text: string, field: keyof Draft, problems: Problem[]): Document | null {
  if (text.trim() === "") return null;
  try {
    const value: unknown = JSON.parse(text);
    if (isDocument(value)) return value;
    problems.push({ field, text: "This must be a JSON object: {...}" });
  } catch (error) {
    problems.push({ field, text: `Not JSON: ${error instanceof Error ? error.message : "?"}` });
  }
  return null;
}

function draftMessage(value: unknown): DraftMessage {
  if (!isDocument(value)) return message("user", String(value));
  const { role, content, ...rest } = value;
  const text = typeof content === "string" ? content : "";
  const parts = typeof content === "string" || content === undefined ? {} : { content };
  return message(typeof role === "string" ? role : "user", text, { ...rest, ...parts });
}

function hasMore(one: DraftMessage): boolean {
  return Object.keys(one.rest).length > 0;
}

function pretty(value: unknown): string {
  const empty = !isDocument(value) || Object.keys(value).length === 0;
  return empty ? "" : JSON.stringify(value, null, 2);
}
