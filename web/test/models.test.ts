import { describe, expect, it } from "vitest";
import type { ModelStats } from "../src/api/types";
import { busiest, FEW, lasted, namesOf, pauseQuestion, rate, sparkline } from "../src/rules/models";

const MODEL: ModelStats = {
  model: "m",
  waiting: 0,
  running: 0,
  paused: false,
  completed: 0,
  failed: 0,
  cancelled: 0,
  retried: 0,
  tokens_per_second: 0,
  prompt_tokens_per_second: 0,
  wait_p50: null,
  wait_p95: null,
  run_p50: null,
  run_p95: null,
  tokens: [],
  prompt_tokens: [],
};

describe("the rows of models", () => {
  it("are all while they are few, and else the busiest in the order of their names", () => {
    const many = Array.from({ length: 2 * FEW }, (_, at) => ({ ...MODEL, model: `m${at}` }));
    expect(busiest(many.slice(0, FEW), false)).toHaveLength(FEW);
    const calm = many.map((one, at) => ({ ...one, completed: at }));
    const last = calm.map((one, at) => {
      if (at === 1) return { ...one, paused: true };
      return at === 0 ? { ...one, waiting: 1 } : one;
    });
    const shown = busiest(last, false).map((one) => one.model);
    expect(shown).toHaveLength(FEW);
    expect(shown.slice(0, 3)).toEqual(["m0", "m1", `m${FEW + 2}`]);
    expect(busiest(last, true)).toHaveLength(2 * FEW);
  });

  it("say figures in few characters, and a dash for none", () => {
    expect([rate(0), rate(0.5), rate(12.3), rate(4100)]).toEqual(["–", "0.50", "12", "4.1k"]);
    expect([lasted(null, null), lasted(0.25, 75)]).toEqual(["–", "250 ms · 1m 15s"]);
  });

  it("lead to the tasks of all names of a model", () => {
    expect(namesOf("llama3")).toEqual(["llama3", "llama3:latest"]);
    expect(namesOf("host:80/team/m")).toEqual(["host:80/team/m", "host:80/team/m:latest"]);
    expect(namesOf("qwen3:4b")).toEqual(["qwen3:4b"]);
  });

  it("ask before a pause, with what goes on", () => {
    const { title, text } = pauseQuestion({ ...MODEL, model: "llama3", running: 2 });
    expect(title).toBe("Pause \u2068llama3\u2069?");
    expect(text).toContain("What runs (2 tasks) runs to its end.");
    expect(pauseQuestion(MODEL).text).not.toContain("What runs");
  });
});

describe("a small chart", () => {
  it("is a line from the first interval to the last that is over", () => {
    expect(sparkline([0, 10, 5, 99], 100, 20)).toBe("M0 20L50 0L100 10");
  });

  it("has gaps where nothing is known, and a dot for one alone", () => {
    expect(sparkline([4, null, 2, null, 4, 4, 0], 100, 20)).toBe("M0 0h0.01M40 10h0.01M80 0L100 0");
  });

  it("is flat where nothing happened, and nothing where there is nothing", () => {
    expect(sparkline([0, 0, 0], 10, 20)).toBe("M0 20L10 20");
    expect(sparkline([], 10, 20)).toBe("");
    expect(sparkline([1], 10, 20)).toBe("");
  });
});
