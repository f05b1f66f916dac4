// The submit form: what is in its fields, and the task that they make.

import { SUBMITTED, type Document, type Submitted, type Task } from "../api/types";
import { isDocument } from "./conversation";
import { callOf, type Again } from "./curl";
import { parseExact, writeExact } from "./exact";

export interface DraftMessage {
  key: number;
  role: string;
  content: string;
  rest: Document; // fields that the form does not show (images, tool calls), passed on as they are
}

export interface Draft {
  type: Submitted;
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
  call: { path: string; type: Submitted } | null; // that is cloned, and sent as the same call
}

/** The payload fields that the form shows of each type. */
const SHOWN: Record<Submitted, readonly string[]> = {
  chat: ["messages", "system", "format"],
  generate: ["prompt", "system", "format"],
  embed: ["input"],
};

export interface Problem {
  field: keyof Draft;
  text: string;
}

let keys = 0;

export function message(role: string, content = "", rest: Document = {}): DraftMessage {
  return { key: ++keys, role, content, rest };
}

export function emptyDraft(type: Submitted = "chat"): Draft {
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
    call: null,
  };
}

/** The form filled in as a task was submitted. What it does not show is sent as it was. */
export function draftOf(task: Task): Draft {
  const type = SUBMITTED.find((one) => one === task.type);
  if (type === undefined)
    throw new Error(`a task of type ${task.type} is made by a call of an API`);
  const shown = (name: string) => SHOWN[type].includes(name) && fits(name, task.payload[name]);
  const given: Document = {};
  const extra: Document = {};
  for (const [name, value] of Object.entries(task.payload)) {
    (shown(name) ? given : extra)[name] = value;
  }
  const { messages, prompt, input, system, format } = given;
  const draft = emptyDraft(type);
  const path = callOf(task);
  return {
    ...draft,
    model: task.model,
    system: typeof system === "string" ? system : "",
    messages: Array.isArray(messages) ? messages.map(draftMessage) : draft.messages,
    prompt: typeof prompt === "string" ? prompt : "",
    input: input === undefined ? "" : lined(input),
    priority: String(task.priority),
    timeout: task.timeout === undefined ? "" : String(task.timeout),
    maxRetries: path === null ? String(task.max_retries) : "",
    options: pretty(task.options),
    format: typeof format === "string" ? format : pretty(format),
    metadata: path === null ? pretty(task.metadata) : "",
    extra,
    call: path === null ? null : { path, type },
  };
}

/** Whether the form can show such a value and make the same of it again. */
function fits(name: string, value: unknown): boolean {
  if (name === "messages") return Array.isArray(value);
  if (name === "format") return value === "json" || (isDocument(value) && pretty(value) !== "");
  return name === "input" || typeof value === "string";
}

/** What to send where for the draft, or what is wrong with it. */
export function againOf(draft: Draft): { again: Again; problems: Problem[] } {
  const { body, problems } = submissionOf(draft);
  const { call } = draft;
  if (call === null || call.type !== draft.type) {
    return { again: { path: "/api/tasks", headers: {}, body }, problems };
  }
  const none = `A call of ${call.path} has none: leave it empty.`;
  const own = call.path.startsWith("/api/") ? [] : (["system", "format"] as const);
  for (const field of ["delay", "maxRetries", "metadata", ...own] as const) {
    if (draft[field].trim() !== "") problems.push({ field, text: none });
  }
  const headers: Record<string, string> = { "X-OQ-Priority": draft.priority };
  if (draft.timeout.trim() !== "") headers["X-OQ-Timeout"] = draft.timeout.trim();
  const sent = { model: body["model"], ...(body["payload"] as Document) };
  const options = "options" in body ? { options: body["options"] } : {};
  return { again: { path: call.path, headers, body: { ...sent, ...options } }, problems };
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
      if (said.length === 0 && "prompt" in draft.extra)
        return { ...system, ...formatOf(draft, problems) };
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
      if (texts.length === 0 && "prompt" in draft.extra) return {};
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
      const value: unknown = parseExact(input);
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
  const same = writeExact(textsOf(lines)) === writeExact(texts);
  return same ? lines : writeExact(texts, 2);
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
    const value: unknown = parseExact(text);
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
  return empty ? "" : writeExact(value, 2);
}
