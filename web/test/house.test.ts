// Rules of this directory that no linter knows.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const SOURCE = join(import.meta.dirname, "../src");
const FILES = readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(ts|svelte|css)$/.test(name) && name !== "api/schema.ts") // that one is made
  .map((name) => ({ name, text: readFileSync(join(SOURCE, name), "utf8") }));
const MOST_LINES = 250;

function having(pattern: RegExp, files = FILES): string[] {
  return files.filter((file) => pattern.test(file.text)).map((file) => file.name);
}

it("finds the source", () => {
  expect(FILES.length).toBeGreaterThan(40);
});

it("writes no HTML that others wrote", () => {
  expect(having(/\{@html|innerHTML|outerHTML|insertAdjacentHTML|document\.write/)).toEqual([]);
});

it("asks no other host for anything", () => {
  expect(having(/["'`(](https?:)?\/\/[a-z]/i)).toEqual([]);
});

it("has files of a few screens", () => {
  const long = FILES.filter((file) => file.text.split("\n").length > MOST_LINES);
  expect(long.map((file) => file.name)).toEqual([]);
});

it("has rules that know neither the page nor the world", () => {
  const rules = FILES.filter((file) => file.name.startsWith("rules/"));
  expect(rules.length).toBeGreaterThan(10);
  expect(having(/from "\.\.\/(state|parts|views)/, rules)).toEqual([]);
  expect(having(/\b(document|window|location|fetch|setTimeout)\b[.(]/, rules)).toEqual([]);
});
