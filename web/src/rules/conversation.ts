// What a task says and was answered, as turns of a conversation. Payloads and results are of any
// shape: Ollama's, OpenAI's, or one that no reader has seen. What is not understood is left to the
// raw view; nothing here may fail on it.

import type { Document, Task } from "../api/types";
import { writeExact } from "./exact";

export type Role = "system" | "user" | "assistant" | "tool" | "other";

export interface ToolCall {
  name: string;
  arguments: string;
}

export interface Turn {
  role: Role;
  label: string; // the role as it was written
  text: string;
  thinking: string;
  images: string[]; // addresses with the scheme data:
  toolCalls: ToolCall[];
  notes: string[]; // what the turn has that is not shown, in words
}

/** What was asked. */
export function asked(task: Pick<Task, "type" | "payload">): Turn[] {
  const payload = task.payload;
  const system = textOf(payload["system"]);
  const first = system === "" ? [] : [turn("system", { text: system })];
  if (Array.isArray(payload["messages"]))
    return [...first, ...payload["messages"].map(readMessage)];
  if ("prompt" in payload) {
    const { images, notes } = imagesOf(payload["images"]);
    const said = { text: textOf(payload["prompt"]), images, notes: [...notes, ...files(payload)] };
    return [...first, turn("user", said)];
  }
  if ("query" in payload) {
    return [...first, turn("user", { text: textOf(payload["query"]), label: "query" })];
  }
  if ("input" in payload) {
    const inputs = Array.isArray(payload["input"]) ? payload["input"] : [payload["input"]];
    const label = (index: number) => (inputs.length > 1 ? `text ${index + 1}` : "text");
    const texts = inputs.map((one, at) => ({ text: textOf(one), label: label(at) }));
    return [...first, ...texts.map((one) => turn("user", one))];
  }
  const sent = files(payload);
  return sent.length > 0 ? [...first, turn("user", { label: "file", notes: sent })] : first;
}

/** The files of a form, which the server describes by their names, types and sizes. */
function files(payload: Document): string[] {
  return Object.values(payload)
    .flat()
    .filter(isDocument)
    .filter((one) => typeof one["filename"] === "string" && typeof one["bytes"] === "number")
    .map(
      (one) =>
        `${textOf(one["filename"])} (${textOf(one["content_type"])}, ${textOf(one["bytes"])} bytes)`,
    );
}

/** What was answered; null while there is nothing, or nothing that is understood. */
export function answered(result: Document | undefined): Turn | null {
  if (result === undefined) return null;
  if (isDocument(result["message"])) return withThinking(readMessage(result["message"]), result);
  if (typeof result["response"] === "string") {
    return withThinking(turn("assistant", { text: result["response"] }), result);
  }
  const choice: unknown = Array.isArray(result["choices"]) ? result["choices"][0] : undefined;
  if (isDocument(choice)) {
    if (isDocument(choice["message"])) return readMessage(choice["message"]);
    if (typeof choice["text"] === "string") return turn("assistant", { text: choice["text"] });
  }
  return ofOtherApis(result);
}

/** Images, transcripts, and completions of llama.cpp. */
function ofOtherApis(result: Document): Turn | null {
  if (typeof result["text"] === "string") return turn("assistant", { text: result["text"] });
  const list: unknown[] = Array.isArray(result["document"]) ? result["document"] : [result];
  const completion = list.find(isDocument);
  if (completion !== undefined && "stop" in completion && typeof completion["content"] === "string")
    return turn("assistant", { text: completion["content"] });
  const data = Array.isArray(result["data"]) ? result["data"].filter(isDocument) : [];
  if (!data.some((one) => "b64_json" in one || "url" in one)) return null;
  const made = imagesOf(data.map((one) => one["b64_json"]).filter((one) => one !== undefined));
  const linked = data
    .filter((one) => typeof one["url"] === "string" && one["url"] !== "")
    .map((one) => `an image that is not in the task: ${textOf(one["url"]).slice(0, 200)}`);
  return turn("assistant", { images: made.images, notes: [...made.notes, ...linked] });
}

/** A message of Ollama's or OpenAI's. */
export function readMessage(value: unknown): Turn {
  if (!isDocument(value)) return turn("other", { text: textOf(value) });
  const content = readContent(value["content"]);
  const attached = imagesOf(value["images"]);
  const label = typeof value["role"] === "string" ? value["role"] : "message";
  const named = typeof value["tool_name"] === "string" ? value["tool_name"] : value["name"];
  return {
    role: roleOf(label),
    label: typeof named === "string" && named !== "" ? `${label} ${named}` : label,
    text: content.text,
    thinking: textOf(value["thinking"] ?? value["reasoning_content"] ?? value["reasoning"]),
    images: [...attached.images, ...content.images],
    toolCalls: toolCalls(value["tool_calls"]),
    notes: [...attached.notes, ...content.notes],
  };
}

/** The calls in a `tool_calls` field, as both APIs write them. */
export function toolCalls(value: unknown): ToolCall[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isDocument).map((call) => {
    const made = isDocument(call["function"]) ? call["function"] : call;
    const given = made["arguments"];
    return {
      name: typeof made["name"] === "string" ? made["name"] : "?",
      arguments: typeof given === "string" ? given : writeExact(given ?? {}),
    };
  });
}

interface Content {
  text: string;
  images: string[];
  notes: string[];
}

/** A message's content: a text, or OpenAI's list of parts. */
function readContent(value: unknown): Content {
  if (!Array.isArray(value)) return { text: textOf(value), images: [], notes: [] };
  const content: Content = { text: "", images: [], notes: [] };
  for (const part of value as unknown[]) {
    if (typeof part === "string") content.text += part;
    else if (isDocument(part) && typeof part["text"] === "string") content.text += part["text"];
    else if (isDocument(part) && "image_url" in part) addImage(content, part["image_url"]);
    else content.notes.push("a part of another kind; see the raw JSON");
  }
  return content;
}

function addImage(content: Content, value: unknown): void {
  const url = isDocument(value) ? value["url"] : value;
  if (typeof url === "string" && /^data:image\/[a-z0-9.+-]+;base64,/i.test(url)) {
    content.images.push(url);
  } else {
    // The page asks no other host for anything.
    content.notes.push(`an image that is not in the task: ${textOf(url).slice(0, 200)}`);
  }
}

/** Ollama's images: base64 without a type, which their first bytes tell. */
function imagesOf(value: unknown): { images: string[]; notes: string[] } {
  const images: string[] = [];
  const notes: string[] = [];
  for (const one of Array.isArray(value) ? (value as unknown[]) : []) {
    const text = typeof one === "string" ? one : "";
    if (text.startsWith("data:image/")) images.push(text);
    else if (/^[A-Za-z0-9+/]{16}/.test(text)) images.push(`data:${imageType(text)};base64,${text}`);
    else notes.push("an image that is not base64; see the raw JSON");
  }
  return { images, notes };
}

function imageType(base64: string): string {
  if (base64.startsWith("iVBOR")) return "image/png";
  if (base64.startsWith("/9j/")) return "image/jpeg";
  if (base64.startsWith("R0lGOD")) return "image/gif";
  return base64.startsWith("UklGR") ? "image/webp" : "image/png";
}

function withThinking(read: Turn, result: Document): Turn {
  return read.thinking === "" ? { ...read, thinking: textOf(result["thinking"]) } : read;
}

function turn(role: Role, parts: Partial<Turn>): Turn {
  const empty = { text: "", thinking: "", images: [], toolCalls: [], notes: [] };
  return { role, label: role, ...empty, ...parts };
}

function roleOf(label: string): Role {
  if (label === "developer") return "system";
  if (label === "function") return "tool";
  return (["system", "user", "assistant", "tool"] as const).find((one) => one === label) ?? "other";
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : writeExact(value);
}

export function isDocument(value: unknown): value is Document {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
