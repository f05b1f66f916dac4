// Answers that are no text: sound, and documents with their scores.

import type { Task } from "../api/types";
import { isDocument } from "./conversation";

export interface Media {
  sound: boolean;
  type: string;
  bytes: number | null; // if the server told it
  src: string;
}

export interface Ranked {
  index: number;
  score: number;
  text: string; // of the document, if the task has it
}

const SOUNDS: Record<string, string> = {
  opus: "audio/ogg",
  aac: "audio/aac",
  flac: "audio/flac",
  wav: "audio/wav",
};

/** Where the answer's own bytes are. */
export function contentPath(task: Pick<Task, "id">): string {
  return `/api/tasks/${encodeURIComponent(task.id)}/content`;
}

/** What to play or to save; null if the answer is no such thing. */
export function media(task: Pick<Task, "id" | "payload" | "result">): Media | null {
  const result = task.result ?? {};
  const type = result["content_type"];
  const bytes = result["bytes"];
  if (typeof type === "string" && typeof bytes === "number") {
    return { sound: type.startsWith("audio/"), type, bytes, src: contentPath(task) };
  }
  const audio = result["audio"]; // that was streamed in events
  if (typeof audio !== "string" || !/^[A-Za-z0-9+/]+={0,2}$/.test(audio)) return null;
  const kind = SOUNDS[String(task.payload["response_format"])] ?? "audio/mpeg";
  return { sound: true, type: kind, bytes: null, src: `data:${kind};base64,${audio}` };
}

/** The documents of a reranking, as the server ordered them; none if it is something else. */
export function ranking(task: Pick<Task, "payload" | "result">): Ranked[] {
  const list = task.result?.["results"] ?? task.result?.["document"];
  const documents = task.payload["documents"] ?? task.payload["texts"];
  if (!Array.isArray(list)) return [];
  const ranked: Ranked[] = [];
  for (const one of list as unknown[]) {
    if (!isDocument(one)) continue;
    const index = one["index"];
    const score = one["relevance_score"] ?? one["score"];
    if (typeof index !== "number" || typeof score !== "number") continue;
    const given: unknown = Array.isArray(documents) ? documents[index] : undefined;
    const text = isDocument(given) ? given["text"] : given;
    ranked.push({ index, score, text: typeof text === "string" ? text : "" });
  }
  return ranked;
}
