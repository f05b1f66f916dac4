import { describe, expect, it } from "vitest";
import type { Timeline } from "../src/api/types";
import { models, rows, toned, TONES } from "../src/rules/ran";

const NOON = Date.UTC(2026, 0, 31, 12);
const at = (seconds: number) => new Date(NOON + seconds * 1000).toISOString();

type Backend = Timeline["backends"][number];
type Attempt = Backend["attempts"][number];

function attempt(task: string, from: number, to: number | null, more: Partial<Attempt> = {}) {
  const ended: Partial<Attempt> = to === null ? {} : { ended_at: at(to), ended: "completed" };
  return { task_id: task, model: "b", lane: 0, started_at: at(from), ...ended, ...more };
}

function timeline(attempts: Attempt[], spans: Backend["spans"] = []): Timeline {
  return { since: at(-300), now: at(0), backends: [{ name: "box", attempts, spans }] };
}

function only(answer: Timeline, late = 0) {
  const [row] = rows(answer, toned(answer, new Map()), late).rows;
  if (row === undefined) throw new Error("there is a row");
  return row;
}

describe("what ran where", () => {
  it("is on the lanes of its backend, at its time", () => {
    const row = only(
      timeline([attempt("1", -300, -150), attempt("2", -150, 0, { model: "c", lane: 1 })]),
    );
    expect(row.lanes.map((lane) => lane.map(({ left, width }) => [left, width]))).toEqual([
      [[0, 0.5]],
      [[0.5, 0.5]],
    ]);
    expect(row.lanes.flat().map((bar) => bar.tone)).toEqual([0, 1]);
  });

  it("is cut at the edge of the time that is shown", () => {
    const [bar] = only(timeline([attempt("1", -600, -150)])).lanes.flat();
    expect([bar?.left, bar?.width]).toEqual([0, 0.5]);
    expect(only(timeline([attempt("1", -600, -400)])).lanes.flat()).toEqual([]);
  });

  it("goes on to the right edge while it runs, and the edge moves", () => {
    const running = timeline([attempt("1", -150, null)]);
    expect(only(running).lanes.flat()[0]).toMatchObject({ left: 0.5, width: 0.5 });
    const later = only(running, 30_000).lanes.flat()[0];
    expect([later?.left, later?.width].map((share) => share?.toFixed(3))).toEqual([
      "0.400",
      "0.600",
    ]);
  });

  it("tells how long the first token took", () => {
    const [bar] = only(
      timeline([attempt("1", -100, -50, { first_token_at: at(-75) })]),
    ).lanes.flat();
    expect(bar?.read).toBe(0.5);
  });

  it("joins many short attempts of one model, and keeps those that failed apart", () => {
    const many = Array.from({ length: 200 }, (_, one) =>
      attempt(String(one), -200 + one / 2, -199.6 + one / 2),
    );
    expect(only(timeline(many)).lanes.flat()).toHaveLength(1);
    const failed = many.with(100, { ...attempt("x", -150, -149.6), ended: "failed" });
    const bars = only(timeline(failed)).lanes.flat();
    expect(bars.map((bar) => bar.bad)).toEqual([false, true, false]);
  });

  it("keeps the colours of models, and has one for all that are too many", () => {
    const names = Array.from({ length: TONES + 2 }, (_, one) => `m${one}`);
    const all = timeline(
      names.map((model, one) => attempt(model, -100 + one, -99 + one, { model })),
    );
    const tones = toned(all, new Map([["m3", 0]]));
    expect(tones.get("m3")).toBe(0);
    expect(tones.get("m0")).toBe(1);
    expect([tones.get("m6"), tones.get("m7")]).toEqual([TONES, TONES]);
    expect(models(all)).toEqual(names);
  });

  it("shows a load that the queue saw once, and one that only the backend told of too", () => {
    const seen = { kind: "swap" as const, since: at(-100), until: at(-98), reason: "b" };
    const loads = [attempt("1", -100, -90, { load: 2 }), attempt("2", -50, -40, { load: 3 })];
    const row = only(timeline(loads, [seen]));
    expect(row.loads.map((load) => load.title.split(" · ")[0])).toEqual([
      "loads b in place of another",
      "loads b",
    ]);
  });

  it("shows when the backend was down, held or wedged", () => {
    const spans: Backend["spans"] = [
      { kind: "down", since: at(-200), until: at(-100), reason: "connection refused" },
      { kind: "wedged", since: at(-30), reason: "not a word" },
    ];
    const row = only(timeline([], spans));
    expect(row.bands.map((band) => band.kind)).toEqual(["down", "wedged"]);
    expect(row.bands[0]?.title).toContain("for 1m 40s: connection refused");
    expect(row.bands[1]?.width).toBeCloseTo(0.1);
    expect(row.lanes).toEqual([[]]);
  });

  it("is said in words too", () => {
    const failed = { ...attempt("2", -90, -80), ended: "failed" as const };
    const down = { kind: "down" as const, since: at(-20), reason: "gone" };
    const said = only(
      timeline([attempt("1", -100, -90), failed, attempt("3", -9, null)], [down]),
    ).said;
    expect(said[0]).toBe("b: 3 attempts, 1 failed, 1 running");
    expect(said[1]).toMatch(/^down since .*: gone$/);
    expect(only(timeline([])).said).toEqual(["Nothing ran."]);
  });
});
