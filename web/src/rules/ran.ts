// What ran where lately, as bars and bands on lanes, and the same in words.

import type { Timeline } from "../api/types";
import { counted } from "./numbers";
import { localTime, moment, span } from "./time";

type Backend = Timeline["backends"][number];
type Attempt = Backend["attempts"][number];
type Span = Backend["spans"][number];

/** A piece of a lane; `left` and `width` are shares of the time that is shown. */
export interface Piece {
  key: string;
  left: number;
  width: number;
  title: string;
}
/** Attempts on a lane: one, or several short ones side by side. `tone` is the number of the colour
 * of its model, and `read` the share of the bar until the first token. */
export interface Bar extends Piece {
  tone: number;
  read: number;
  bad: boolean;
}
export interface Load extends Piece {
  tone: number;
  model: string;
}
/** How the backend was: over all its lanes. */
export interface Band extends Piece {
  kind: "down" | "held" | "wedged";
}
export interface Row {
  name: string;
  lanes: Bar[][];
  loads: Load[];
  bands: Band[];
  said: string[];
}

/** Models with a colour of their own; the others share the last one. */
export const TONES = 6;
const NARROW = 0.004; // a share of the time: what is narrower is joined with its neighbour
const LOADED = 0.1; // seconds; what takes less was in memory
const MOST_SAID = 5; // of a kind

/** The colours of the models that are seen, which they keep. */
export function toned(timeline: Timeline, known: ReadonlyMap<string, number>): Map<string, number> {
  const tones = new Map(known);
  for (const backend of timeline.backends)
    for (const { model } of backend.attempts)
      if (!tones.has(model)) tones.set(model, Math.min(tones.size, TONES));
  return tones;
}

/** The models of this timeline, for the legend. */
export function models(timeline: Timeline): string[] {
  const names = timeline.backends.flatMap((one) => one.attempts.map((attempt) => attempt.model));
  return [...new Set(names)].sort();
}

/** A row for each backend. The time that is shown ends `late` milliseconds after the answer. */
export function rows(
  timeline: Timeline,
  tones: ReadonlyMap<string, number>,
  late: number,
): { rows: Row[]; minutes: number } {
  const end = Date.parse(timeline.now) + late;
  const shown = Date.parse(timeline.now) - Date.parse(timeline.since);
  const view = new View(end - shown, end, tones);
  return { rows: timeline.backends.map((one) => row(one, view)), minutes: shown / 60_000 };
}

class View {
  constructor(
    readonly start: number,
    readonly end: number,
    readonly tones: ReadonlyMap<string, number>,
  ) {}

  /** Where a piece from `since` to `until` is; none if it is too old. */
  place(since: number, until: number): { left: number; width: number } | null {
    const from = Math.max(since, this.start);
    const to = Math.min(until, this.end);
    const all = this.end - this.start;
    return to < from ? null : { left: (from - this.start) / all, width: (to - from) / all };
  }

  tone(model: string): number {
    return this.tones.get(model) ?? TONES;
  }

  time(at: number): string {
    return localTime(at, this.end);
  }
}

function row(backend: Backend, view: View): Row {
  const count = 1 + Math.max(0, ...backend.attempts.map((one) => one.lane));
  const lanes = Array.from({ length: count }, (_, lane) =>
    joined(backend.attempts.filter((one) => one.lane === lane).flatMap((one) => bar(one, view))),
  );
  const loads = [...told(backend), ...measured(backend)].flatMap((one) => load(one, view));
  const bands = backend.spans.flatMap((one) => band(one, view));
  return { name: backend.name, lanes, loads, bands, said: inWords(backend, view) };
}

interface Joinable extends Bar {
  model: string;
  count: number;
}

function bar(attempt: Attempt, view: View): Joinable[] {
  const since = Date.parse(attempt.started_at);
  const until = moment(attempt.ended_at) ?? view.end;
  const place = view.place(since, until);
  if (place === null) return [];
  const first = Math.min(moment(attempt.first_token_at) ?? until, until);
  const from = Math.max(since, view.start);
  const read = until > from ? Math.max(0, Math.min(1, (first - from) / (until - from))) : 0;
  const ended = attempt.ended?.replace("_", " ") ?? "running";
  return [
    {
      key: `${attempt.task_id} ${attempt.started_at}`,
      ...place,
      title: `${attempt.model} · ${ended} · ${view.time(since)} · ${span(until - since)}`,
      tone: view.tone(attempt.model),
      read,
      bad: attempt.ended === "failed",
      model: attempt.model,
      count: 1,
    },
  ];
}

/** Narrow bars of one model that follow each other are one: a page cannot show thousands. */
function joined(bars: readonly Joinable[]): Bar[] {
  const found: Joinable[] = [];
  for (const one of bars) {
    const last = found.at(-1);
    const near = last !== undefined && one.left - (last.left + last.width) < NARROW;
    if (near && one.width < NARROW && !one.bad && !last.bad && last.model === one.model) {
      const width = one.left + one.width - last.left;
      const count = last.count + 1;
      const title = `${one.model} · ${count} attempts`;
      found[found.length - 1] = { ...last, width, count, title, read: 0 };
    } else found.push(one);
  }
  return found;
}

interface Loading {
  model: string;
  since: number;
  until: number | null;
  swap: boolean;
}

/** Loads as the queue saw them begin and end. */
function told(backend: Backend): Loading[] {
  return backend.spans.filter(isLoad).map((one) => ({
    model: one.reason,
    since: Date.parse(one.since),
    until: moment(one.until),
    swap: one.kind === "swap",
  }));
}

/** Loads that the backend's own times say, and that the queue did not see. */
function measured(backend: Backend): Loading[] {
  const seen = told(backend);
  return backend.attempts.flatMap((attempt) => {
    const seconds = attempt.load ?? 0;
    if (seconds < LOADED) return [];
    const since = Date.parse(attempt.started_at);
    const until = since + seconds * 1000;
    const overlaps = seen.some((one) => one.since <= until && (one.until ?? until) >= since);
    return overlaps ? [] : [{ model: attempt.model, since, until, swap: false }];
  });
}

const isLoad = (one: Span) => one.kind === "load" || one.kind === "swap";

function load(one: Loading, view: View): Load[] {
  const until = one.until ?? view.end;
  const place = view.place(one.since, until);
  if (place === null) return [];
  return [
    {
      key: `${one.model} ${one.since}`,
      ...place,
      title: `${loadSaid(one)} · ${view.time(one.since)} · ${span(until - one.since)}`,
      tone: view.tone(one.model),
      model: one.model,
    },
  ];
}

const loadSaid = ({ model, swap }: Loading) =>
  swap ? `loads ${model} in place of another` : `loads ${model}`;

function band(one: Span, view: View): Band[] {
  if (one.kind === "load" || one.kind === "swap") return [];
  const since = Date.parse(one.since);
  const place = view.place(since, moment(one.until) ?? view.end);
  if (place === null) return [];
  return [
    { key: `${one.kind} ${one.since}`, ...place, kind: one.kind, title: bandSaid(one, view) },
  ];
}

function bandSaid(one: Span, view: View): string {
  const since = Date.parse(one.since);
  const until = moment(one.until);
  const times =
    until === null
      ? `since ${view.time(since)}`
      : `from ${view.time(since)} for ${span(until - since)}`;
  return `${one.kind} ${times}: ${one.reason}`;
}

/** The same as a list of sentences, for those who do not see it. */
function inWords(backend: Backend, view: View): string[] {
  const by = new Map<string, Attempt[]>();
  for (const one of backend.attempts) by.set(one.model, [...(by.get(one.model) ?? []), one]);
  const ran = [...by].map(([model, all]) => {
    const failed = all.filter((one) => one.ended === "failed").length;
    const running = all.filter((one) => one.ended_at === undefined).length;
    const more = [failed && `${failed} failed`, running && `${running} running`].filter(Boolean);
    return `${model}: ${counted(all.length, "attempt")}${more.length ? `, ${more.join(", ")}` : ""}`;
  });
  const loads = [...told(backend), ...measured(backend)].map(
    (one) =>
      `${loadSaid(one)} at ${view.time(one.since)}, ${span((one.until ?? view.end) - one.since)}`,
  );
  const bands = backend.spans.filter((one) => !isLoad(one)).map((one) => bandSaid(one, view));
  const said = [...ran, ...latest(loads), ...latest(bands)];
  return said.length > 0 ? said : ["Nothing ran."];
}

const latest = (said: string[]) =>
  said.length <= MOST_SAID
    ? said
    : [`${said.length - MOST_SAID} earlier ones`, ...said.slice(-MOST_SAID)];
