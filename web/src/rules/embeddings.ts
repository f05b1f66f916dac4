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
    norm: Math.sqrt(row.reduce((sum, one) => sum + one * one, 0)),
    first: row.slice(0, SHOWN),
  }));
}

function rows(result: Document): unknown[] {
  if (Array.isArray(result["embeddings"])) return result["embeddings"];
  if (Array.isArray(result["embedding"])) return [result["embedding"]];
  if (!Array.isArray(result["data"])) return [];
  return (result["data"] as unknown[]).map((one) =>
    typeof one === "object" && one !== null && "embedding" in one ? unpacked(one.embedding) : null,
  );
}

/** OpenAI's clients ask for vectors in base64: 32-bit floats, the low byte first. */
function unpacked(value: unknown): unknown {
  if (typeof value !== "string" || !/^[A-Za-z0-9+/]+={0,2}$/.test(value) || value.length % 4) {
    return value;
  }
  const bytes = Uint8Array.from(atob(value), (one) => one.charCodeAt(0));
  if (bytes.length % 4 !== 0) return value;
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true));
}

function isVector(row: unknown): row is number[] {
  return Array.isArray(row) && row.length > 0 && row.every((one) => typeof one === "number");
}
