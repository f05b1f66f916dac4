// Joins the chunks of a task's output into what it has said so far.

import type { Chunk, Status } from "../api/types";

export interface Output {
  text: string;
  thinking: string;
  toolCalls: unknown[];
  offset: number;
  attempt: number | null;
  restarts: number;
  status: Status | null; // the final one
  error: string | null;
}

export const SILENCE: Output = {
  text: "",
  thinking: "",
  toolCalls: [],
  offset: 0,
  attempt: null,
  restarts: 0,
  status: null,
  error: null,
};

/** The output with these chunks added. A chunk that was seen already (a reader that comes back may
 * get one twice) changes nothing; one that says `restart` voids what came before. */
export function joined(output: Output, chunks: readonly Chunk[]): Output {
  let next = output;
  for (const chunk of chunks) next = withChunk(next, chunk);
  return next;
}

function withChunk(output: Output, chunk: Chunk): Output {
  const attempt = chunk.attempt ?? output.attempt;
  let base = output;
  if (chunk.restart) {
    const restarts = output.restarts + (output.offset > 0 ? 1 : 0);
    base = { ...SILENCE, restarts, attempt };
  } else if (!chunk.done && chunk.offset <= output.offset && attempt === output.attempt) {
    return output;
  }
  return {
    text: base.text + chunk.data,
    thinking: base.thinking + (chunk.thinking ?? ""),
    toolCalls: chunk.tool_calls ? [...base.toolCalls, ...chunk.tool_calls] : base.toolCalls,
    offset: Math.max(chunk.offset, base.offset),
    attempt,
    restarts: base.restarts,
    status: chunk.done ? (chunk.status ?? null) : null,
    error: chunk.done ? (chunk.error ?? null) : null,
  };
}
