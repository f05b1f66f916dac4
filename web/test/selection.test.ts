import { describe, expect, it } from "vitest";
import type { Summary } from "../src/api/types";
import { Selection } from "../src/state/selection.svelte";

const ROWS = ["a", "b", "c", "d", "e"].map((id) => ({ id }) as Summary);
const row = (index: number) => ROWS[index] as Summary;
const ids = (selection: Selection) => selection.tasks.map((task) => task.id).sort();

describe("Selection", () => {
  it("takes tasks and lets them go", () => {
    const selection = new Selection();
    selection.toggle(row(1), ROWS);
    selection.toggle(row(3), ROWS);
    expect(ids(selection)).toEqual(["b", "d"]);
    selection.toggle(row(1), ROWS);
    expect(ids(selection)).toEqual(["d"]);
    expect(selection.has("d")).toBe(true);
  });

  it("takes all between two, in either direction", () => {
    const selection = new Selection();
    selection.toggle(row(3), ROWS);
    selection.toggle(row(1), ROWS, true);
    expect(ids(selection)).toEqual(["b", "c", "d"]);
  });

  it("has all that match until one is taken out", () => {
    const selection = new Selection();
    selection.chooseAll();
    expect(selection.has("not here")).toBe(true);
    expect(selection.some).toBe(true);
    selection.toggle(row(0), ROWS);
    expect(selection.all).toBe(false);
    expect(ids(selection)).toEqual(["b", "c", "d", "e"]);
    selection.clear();
    expect(selection.some).toBe(false);
  });
});
