import { describe, expect, it } from "vitest";
import { Exact, parseExact, writeExact } from "../src/rules/exact";

describe("numbers that JavaScript has not", () => {
  it.each([
    '{"seed":9007199254740993}',
    "[-9007199254740993,18446744073709551615,1e400,-1e999]",
    '{"a":{"b":[123456789012345678901234567890]},"c":"9007199254740993"}',
    '{"9007199254740993":9007199254740993}',
    // Texts that look like the marks between the two steps.
    '[9007199254740993,"\\u0000123","\\u0000","\\u0000\\u0000x","x\\"\\u0000123"]',
    '{"\\u0000123":9007199254740993,"x\\\\":"\\u000012\\\\"}',
  ])("are written as they were read: %s", (text) => {
    expect(writeExact(parseExact(text))).toBe(text);
  });

  it("are no others", () => {
    const text = '{"a":[1,-0.5,1e3,9007199254740991,"x",null,true],"\\u0000":"\\u00005"}';
    expect(parseExact(text)).toEqual(JSON.parse(text));
    expect(writeExact(parseExact(text))).toBe(JSON.stringify(JSON.parse(text)));
  });

  it("are shown by their digits, and what is no JSON is refused", () => {
    const { seed } = parseExact('{"seed": 9007199254740993}') as { seed: Exact };
    expect(String(seed)).toBe("9007199254740993");
    expect(writeExact({ seed }, 2)).toBe('{\n  "seed": 9007199254740993\n}');
    expect(() => parseExact('{"a":01}')).toThrow(SyntaxError);
  });
});
