// The history that the charts draw, from what the server keeps of it.

import type { Point, Stats } from "../api/types";

export type Row = (number | null)[];

export interface Series {
  times: number[]; // seconds since 1970
  throughput: Row[]; // per minute: completed, failed, submitted
  waits: Row[]; // seconds: p50, p95
  runs: Row[];
  tokens: Row[]; // a second
}

export function seriesOf(stats: Stats): Series {
  const { points, interval } = stats;
  const values = (pick: (point: Point) => number | null): Row => points.map(pick);
  // The last interval is not over: what happened in it is not yet a rate. Where the server did not
  // run there is a gap.
  const rates = (pick: (point: Point) => number, seconds: number): Row =>
    points.map((one, at) =>
      at === points.length - 1 || !one.ran ? null : (pick(one) / interval) * seconds,
    );
  return {
    times: points.map((one) => Date.parse(one.t) / 1000),
    throughput: [
      rates((one) => one.completed, 60),
      rates((one) => one.failed, 60),
      rates((one) => one.submitted, 60),
    ],
    waits: [values((one) => one.wait_p50), values((one) => one.wait_p95)],
    runs: [values((one) => one.run_p50), values((one) => one.run_p95)],
    tokens: [rates((one) => one.tokens, 1)],
  };
}
