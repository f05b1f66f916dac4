// The models as rows of the overview.

import type { ModelStats } from "../api/types";
import { counted, short } from "./numbers";
import { span } from "./time";
import { isolated } from "./words";

export const FEW = 12;

/** The rows that are shown: all, or the busiest few, in the order in which they came. */
export function busiest(models: readonly ModelStats[], all: boolean): ModelStats[] {
  if (all || models.length <= FEW) return [...models];
  const chosen = [...models].sort((a, b) => weight(b) - weight(a)).slice(0, FEW);
  return models.filter((one) => chosen.includes(one));
}

function weight(one: ModelStats): number {
  const now = one.running + one.waiting;
  return (one.paused ? 1e15 : 0) + now * 1e6 + one.completed + one.failed;
}

/** The names by which tasks may call a model: one without a tag is meant by the tag latest, too. */
export function namesOf(model: string): string[] {
  const tagged = model.slice(model.lastIndexOf("/") + 1).includes(":");
  return tagged ? [model] : [model, `${model}:latest`];
}

/** Tokens a second; nothing where there were none. */
export function rate(perSecond: number): string {
  return perSecond > 0 ? short(perSecond) : "–";
}

/** Two percentiles of seconds: "2.6 s · 12 s". */
export function lasted(half: number | null, most: number | null): string {
  return half === null || most === null ? "–" : `${span(half * 1000)} · ${span(most * 1000)}`;
}

/** What to ask before a model is paused. */
export function pauseQuestion(one: ModelStats): { title: string; text: string } {
  const runs =
    one.running === 0 ? "" : ` What runs (${counted(one.running, "task")}) runs to its end.`;
  return {
    title: `Pause ${isolated(one.model ?? "")}?`,
    text: `No task of this model starts until you resume it, also after a restart.${runs}`,
  };
}

/** A line through the values of a small chart, as the path of an SVG `width` wide and `height` high:
 * a gap where there is none, and a dot where one has no neighbour. The last interval is not over. */
export function sparkline(
  values: readonly (number | null)[],
  width: number,
  height: number,
): string {
  const known = values.slice(0, -1);
  const most = Math.max(0, ...known.map((value) => value ?? 0));
  const x = (at: number) => round((at / Math.max(1, known.length - 1)) * width);
  const y = (value: number) => round(height - (most > 0 ? value / most : 0) * height);
  let path = "";
  known.forEach((value, at) => {
    if (value === null) return;
    const before = known[at - 1] ?? null;
    const after = known[at + 1] ?? null;
    path += `${before === null ? "M" : "L"}${x(at)} ${y(value)}`;
    if (before === null && after === null) path += "h0.01";
  });
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
