import { describe, expect, it } from "vitest";
import { pagesOf, pagesToDrop, scrolledTo, visible } from "../src/rules/window";

describe("visible", () => {
  it("is what is seen and a margin", () => {
    expect(visible(0, 360, 36, 100_000)).toEqual({ first: 0, end: 18 });
    expect(visible(36_000, 360, 36, 100_000)).toEqual({ first: 992, end: 1018 });
  });

  it("ends with the list", () => {
    expect(visible(3_599_640, 360, 36, 100_000)).toEqual({ first: 99_982, end: 100_000 });
    expect(visible(0, 360, 36, 3)).toEqual({ first: 0, end: 3 });
    expect(visible(0, 360, 36, 0)).toEqual({ first: 0, end: 0 });
    // Shorter than it was when it was scrolled so far.
    expect(visible(3_600_000, 360, 36, 50)).toEqual({ first: 50, end: 50 });
  });
});

it("knows the pages of rows", () => {
  expect(pagesOf({ first: 0, end: 0 }, 100)).toEqual([]);
  expect(pagesOf({ first: 0, end: 100 }, 100)).toEqual([0]);
  expect(pagesOf({ first: 99, end: 201 }, 100)).toEqual([0, 1, 2]);
});

describe("scrolledTo", () => {
  it("scrolls no more than needed", () => {
    expect(scrolledTo(5, 0, 360, 36)).toBe(0);
    expect(scrolledTo(10, 0, 360, 36)).toBe(36);
    expect(scrolledTo(2, 100, 360, 36)).toBe(72);
  });
});

describe("pagesToDrop", () => {
  it("drops those furthest away, and none that is in use", () => {
    expect(pagesToDrop([0, 1, 2, 3, 40], [2, 3], 3)).toEqual([40, 0]);
    expect(pagesToDrop([0, 1, 2], [1], 3)).toEqual([]);
    expect(pagesToDrop([1, 2, 3], [1, 2, 3], 1)).toEqual([]);
  });
});
