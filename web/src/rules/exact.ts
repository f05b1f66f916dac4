// JSON whose numbers stay as they were written. A seed of 9007199254740993 is another number as a
// JavaScript one, and whoever submits what was read would submit that other number.

/** A number that JavaScript has not, as it was written. */
export class Exact {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

// What marks a number between two steps. A text that begins with it itself gets it twice.
const MARK = "\u0000";
const TOKEN = /"(?:[^"\\]|\\.)*"(\s*:)?|-?\d[\d.eE+-]*/gs;
// Where a text begins: before the quote within one there is a backslash. Names are left alone.
const MARKED = /(?<!\\)"\\u0000(-?\d[\d.eE+-]*)"(?!\s*:)/g;
const TWICE = /(?<!\\)"\\u0000\\u0000(?=(?:[^"\\]|\\.)*"(?!\s*:))/gs;

/** As JSON.parse, but for numbers that would not be the same: those become an `Exact`. */
export function parseExact(text: string): unknown {
  const value: unknown = JSON.parse(text); // which says where, if it is no JSON
  let found = false;
  const marked = text.replace(TOKEN, (token, colon: string | undefined) => {
    if (colon !== undefined) return token;
    if (token.startsWith('"'))
      return token.startsWith('"\\u0000') ? `"\\u0000${token.slice(1)}` : token;
    if (isSame(token)) return token;
    found = true;
    return `"\\u0000${token}"`;
  });
  if (!found) return value;
  return JSON.parse(marked, (_, one: unknown) => {
    if (typeof one !== "string" || !one.startsWith(MARK)) return one;
    const rest = one.slice(1);
    return rest.startsWith(MARK) ? rest : new Exact(rest);
  });
}

/** As JSON.stringify, and an `Exact` is written as it was read. */
export function writeExact(value: unknown, indent?: number): string {
  const marked = JSON.stringify(
    value,
    (_, one: unknown) => {
      if (one instanceof Exact) return MARK + one.text;
      return typeof one === "string" && one.startsWith(MARK) ? MARK + one : one;
    },
    indent,
  );
  return marked.replace(MARKED, "$1").replace(TWICE, '"\\u0000');
}

/** Whether it is the same number when JavaScript has read it. */
function isSame(text: string): boolean {
  const value = Number(text);
  if (!Number.isFinite(value)) return false;
  return Number.isSafeInteger(value) || !/^-?\d+$/.test(text);
}
