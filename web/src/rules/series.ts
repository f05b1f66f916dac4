// The history that the charts draw, from what the server keeps of it.

import type { Stats } from "../api/types";

export type Row = (number | null)[];

export interface Series {
  times: number[]; // seconds since 1970
  throughput: Row[]; // per minute: completed, failed, submitted
  waits: Row[]; // seconds: p50, p95
  runs: Row[];
  tokens: Row[]; // a second
}

export function seriesOf(stats: Stats): Series {
  const perMinute = 60 / stats.interval;
  const column = (pick: (index: number) => number | null): Row =>
    stats.points.map((_, i) => pick(i));
  const point = (index: number) => stats.points[index];
  return {
    times: stats.points.map((one) => Date.parse(one.t) / 1000),
    throughput: [
      column((i) => (point(i)?.completed ?? 0) * perMinute),
      column((i) => (point(i)?.failed ?? 0) * perMinute),
      column((i) => (point(i)?.submitted ?? 0) * perMinute),
    ],
    waits: [column((i) => point(i)?.wait_p50 ?? null), column((i) => point(i)?.wait_p95 ?? null)],
    runs: [column((i) => point(i)?.run_p50 ?? null), column((i) => point(i)?.run_p95 ?? null)],
    tokens: [column((i) => (point(i)?.tokens ?? 0) / stats.interval)],
  };
}
