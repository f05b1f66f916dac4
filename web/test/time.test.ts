import { describe, expect, it } from "vitest";
import { bytes, counted, priorityName, short, whole } from "../src/rules/numbers";
import { ago, localTime, moment, span, utc } from "../src/rules/time";

describe("span", () => {
  it.each([
    [-5, "<1 ms"],
    [0, "<1 ms"],
    [0.97, "1 ms"],
    [340.4, "340 ms"],
    [999.6, "1.0 s"],
    [2449, "2.4 s"],
    [12_345, "12 s"],
    [59_960, "1m 00s"],
    [185_000, "3m 05s"],
    [3_599_600, "1h 00m"],
    [7_620_000, "2h 07m"],
    [356_400_000, "4d 3h"],
  ])("%d ms is %s", (ms, text) => {
    expect(span(ms)).toBe(text);
  });
});

describe("ago", () => {
  it.each([
    [500, "now"],
    [12_900, "12 s ago"],
    [61_000, "1 min ago"],
    [2 * 3_600_000, "2 h ago"],
    [50 * 3_600_000, "2 d ago"],
    [-90_000, "in 1 min"],
    [-400, "now"],
  ])("%d ms before now is %s", (distance, text) => {
    expect(ago(1_000_000_000_000 - distance, 1_000_000_000_000)).toBe(text);
  });
});

it("shows a date only of other days", () => {
  const noon = new Date(2026, 0, 31, 12, 5, 9).getTime();
  expect(localTime(noon, noon + 3_600_000)).toBe("12:05:09");
  expect(localTime(noon, noon + 86_400_000)).toBe("2026-01-31 12:05:09");
});

it("says UTC, to the millisecond", () => {
  expect(utc(Date.parse("2026-01-31T12:00:00.250+02:00"))).toBe("2026-01-31 10:00:00.250 UTC");
});

it("reads times as the server writes them, and no others", () => {
  expect(moment("2026-01-31T12:00:00.123456Z")).toBe(Date.parse("2026-01-31T12:00:00.123Z"));
  expect(moment("soon")).toBeNull();
  expect(moment(undefined)).toBeNull();
});

describe("numbers", () => {
  it.each([
    [0, "0"],
    [0.25, "0.25"],
    [9.5, "9.5"],
    [940, "940"],
    [12_345, "12.3k"],
    [123_456, "123k"],
    [4_100_000, "4.1M"],
  ])("%d in short is %s", (value, text) => {
    expect(short(value)).toBe(text);
  });

  it("are grouped, counted and named", () => {
    expect(whole(1_234_567)).toBe("1,234,567");
    expect(counted(1, "task")).toBe("1 task");
    expect(counted(1200, "task")).toBe("1,200 tasks");
    expect(bytes(999)).toBe("999 B");
    expect(bytes(1_400_000)).toBe("1.4 MB");
    expect(priorityName(15)).toBe("critical");
    expect(priorityName(7)).toBe("7");
  });
});
