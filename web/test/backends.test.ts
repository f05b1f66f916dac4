import { describe, expect, it } from "vitest";
import type { Backend } from "../src/api/types";
import { condition, merged } from "../src/rules/backends";

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
});
