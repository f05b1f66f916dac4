// Embeddings in a few words: nobody reads 768 numbers.

import type { Document } from "../api/types";

export interface Vector {
  size: number;
  norm: number;
  first: number[];
}

const SHOWN = 8;

/** The vectors of an embed task's result, in Ollama's or OpenAI's shape; none if it has none. */
export function vectors(result: Document | undefined): Vector[] {
  if (result === undefined) return [];
  const list = rows(result);
  return list.filter(isVector).map((row) => ({
    size: row.length,
    norm: Math.hypot(...row),
    first: row.slice(0, SHOWN),
  }));
}

function rows(result: Document): unknown[] {
  if (Array.isArray(result["embeddings"])) return result["embeddings"];
  if (Array.isArray(result["embedding"])) return [result["embedding"]];
  if (!Array.isArray(result["data"])) return [];
  return (result["data"] as unknown[]).map((one) =>
    typeof one === "object" && one !== null && "embedding" in one ? one.embedding : null,
  );
}

function isVector(row: unknown): row is number[] {
  return Array.isArray(row) && row.length > 0 && row.every((one) => typeof one === "number");
}
