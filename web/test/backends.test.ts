import { describe, expect, it } from "vitest";
import type { Backend, Slots } from "../src/api/types";
import { busyWith, condition, load, merged, others, slotsSaid } from "../src/rules/backends";

const SIM: Backend = { name: "sim", kind: "ollama", url: "http://here", up: true, running: 0 };
const DEAD: Backend = { ...SIM, up: false, error: "cannot reach it" };

describe("a backend", () => {
  it("is never up beside the reason why it cannot be reached", () => {
    expect(merged(SIM, DEAD).error).toBeUndefined();
    expect(merged(DEAD, SIM)).toEqual(DEAD);
    expect(merged(DEAD, undefined)).toEqual(DEAD);
    expect(merged(SIM, undefined)).toEqual(SIM);
  });

  it("keeps what it said about its models while it is up", () => {
    const slow = { ...SIM, error: "did not list its models" };
    expect(merged(SIM, slow).error).toBe("did not list its models");
    expect(condition(slow).said).toBe("▲ in trouble");
  });

  it("is said to be up or down in a word", () => {
    expect(condition(SIM).said).toBe("● up");
    expect(condition(DEAD).said).toBe("✕ down");
  });

  it("says what it is busy with as the figures have it, not as it was", () => {
    const swap = "b → c, 2 of b still running";
    const models = [{ name: "b" }, { name: "c" }];
    const busy: Backend = { ...SIM, running: 2, max_concurrency: 3, swap, held: "it is full" };
    const said = [`changes models: ${swap}`, "gets nothing for a moment: it is full"];
    expect(busyWith(busy)).toEqual(said);
    expect(busyWith({ ...busy, up: false })).toEqual([]);
    const now = merged(SIM, { ...busy, models, loaded: [{ name: "b" }] });
    expect(busyWith(now)).toEqual([]);
    expect(now.loaded).toEqual([{ name: "b" }]);
    expect(load(busy)).toBe("2 of 3 running");
    expect(load(now)).toBe("0 running · 2 models");
  });

  it("names the models that are not in memory, but not endlessly", () => {
    const models = ["a", "b", "c"].map((name) => ({ name }));
    const cold: Backend = { ...SIM, models, loaded: [] };
    expect(others(cold)).toEqual({ said: "Has:", names: ["a", "b", "c"], more: 0 });
    const warm = { ...cold, loaded: [{ name: "b" }] };
    expect(others(warm)).toEqual({ said: "Also has:", names: ["a", "c"], more: 0 });
    expect(others({ ...cold, up: false }).said).toBe("It had:");
    const many = Array.from({ length: 80 }, (_, index) => ({ name: `m${index}` }));
    expect(others({ ...cold, models: many })).toMatchObject({ more: 72 });
    expect(others(SIM).names).toEqual([]);
  });

  it("says how many slots there are, and how that is known", () => {
    const reason = "2 at once were served without waiting";
    const measured: Slots = { slots: 2, source: "measured", reason, running: 1, model: "b" };
    expect(slotsSaid(measured)).toMatchObject({ text: "1 of 2 slots · measured", reason });
    const set: Slots = { slots: 1, source: "set", reason: "nothing is known yet", running: 0 };
    expect(slotsSaid(set)).toEqual({
      text: "0 of 1 slot · set",
      reason: "",
      title: "the settings say so",
    });
  });
});
