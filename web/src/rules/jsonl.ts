// A file of tasks, one a line, cut into batches that the server takes.

/** A line as it will be sent, with the number that it has in its file. */
export interface Line {
  number: number; // from 1
  text: string;
}

export interface LineError {
  number: number;
  error: string;
}

export interface Batch {
  lines: Line[];
  bytes: number;
}

const ENCODER = new TextEncoder();

/** Groups lines into batches of at most so many lines and about so many bytes. A single line that is
 * larger is a batch of its own: the server says whether it takes it. */
export class Batches {
  #lines: Line[] = [];
  #bytes = 0;
  #number = 0;

  constructor(
    private readonly mostLines = 500,
    private readonly mostBytes = 1_000_000,
  ) {}

  /** The batches that these lines complete. Empty lines are counted and left out. */
  push(lines: readonly string[]): Batch[] {
    const full: Batch[] = [];
    for (const text of lines) {
      this.#number++;
      if (text.trim() === "") continue;
      const size = ENCODER.encode(text).length + 1;
      const tooMany = this.#lines.length >= this.mostLines;
      if (this.#lines.length > 0 && (tooMany || this.#bytes + size > this.mostBytes)) {
        full.push(...this.end());
      }
      this.#lines.push({ number: this.#number, text });
      this.#bytes += size;
    }
    return full;
  }

  /** What is left. */
  end(): Batch[] {
    const batch = { lines: this.#lines, bytes: this.#bytes };
    this.#lines = [];
    this.#bytes = 0;
    return batch.lines.length === 0 ? [] : [batch];
  }
}

/** What can be said of a line without asking the server; null if it may be a task. */
export function looksWrong(line: Line): string | null {
  let value: unknown;
  try {
    value = JSON.parse(line.text);
  } catch (error) {
    return `not JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "not an object";
  if ("url" in value && "body" in value) {
    return "a line of an OpenAI batch; submit such files with `oq batch run`";
  }
  return null;
}

/** The server's answer to a refused batch names each bad item by its index ("nothing was stored: item
 * 2: the reason; item 7: ..."). Its errors, with the lines' numbers in the file; none if the answer
 * is of another kind. */
export function lineErrors(answer: string, batch: readonly Line[]): LineError[] {
  const parts = answer.split(/(?:^|; |: )item (\d+): /);
  const found: LineError[] = [];
  for (let at = 1; at + 1 < parts.length; at += 2) {
    const line = batch[Number(parts[at])];
    if (line) found.push({ number: line.number, error: parts[at + 1] ?? "" });
  }
  return found;
}

/** The line as it is sent: with a key of its own, so that a batch which is sent again after a lost
 * answer makes no second task. A key that the line brings comes later in it, and wins. */
export function keyed(line: Line, upload: string): string {
  const text = line.text.trim();
  if (!text.startsWith("{") || /^\{\s*\}$/.test(text)) return text;
  return `{"idempotency_key":${JSON.stringify(`${upload}-${line.number}`)},${text.slice(1)}`;
}
