// Which tasks a listing shows, as the address of the page says it and as the server is asked.
// Both are the same words, so that a link from one person opens the same view for another.

import { STATUSES, TYPES, type BulkFilter, type Query, type Status } from "../api/types";
import { PRIORITIES } from "./numbers";

export const SORTS = ["newest", "oldest", "queue"] as const;
export type Sort = (typeof SORTS)[number];

/** A value for each field that the server's filter has. Priorities are numbers in texts; a time is
 * RFC 3339, or a span before now such as "1h". */
export type Filter = {
  [Name in keyof Required<Query>]: Required<Query>[Name] extends readonly (infer One)[]
    ? One[]
    : string;
};

export const EVERYTHING: Filter = {
  status: [],
  type: [],
  priority: [],
  model: [],
  q: "",
  since: "",
  until: "",
};

const SPAN = /^(\d{1,6})([mhd])$/;
const MINUTES = { m: 1, h: 60, d: 1440 } as const;

/**
 * The filter that the query of an address names. What it does not know it leaves out: ask
 * `wrongIn` first, for without that part it may mean every task.
 */
export function readFilter(query: URLSearchParams): { filter: Filter; sort: Sort } {
  const several = (name: string) =>
    query
      .getAll(name)
      .flatMap((value) => value.split(","))
      .filter((value) => value !== "");
  const status = STATUSES.filter((one) => several("status").includes(one));
  const asked = SORTS.find((one) => one === query.get("sort")) ?? "newest";
  const sort = asked === "queue" && !queues(status) ? "newest" : asked;
  return {
    filter: {
      // Who acts on all that match means no others than the list shows.
      status: sort === "queue" ? ["pending"] : status,
      type: TYPES.filter((one) => several("type").includes(one)),
      priority: several("priority").map(priorityNumber).filter(isPriority),
      model: query.getAll("model").filter((value) => value !== ""),
      q: query.get("q") ?? "",
      since: time(query.get("since")),
      until: time(query.get("until")),
    },
    sort,
  };
}

/** What of an address this page does not understand, in words: a filter that it would lose. */
export function wrongIn(query: URLSearchParams): string[] {
  const found: string[] = [];
  for (const [name, text] of query) {
    if (!Object.hasOwn(KNOWN, name)) {
      found.push(`“${name}” is no filter. There are ${listed(Object.keys(KNOWN), "and")}.`);
      continue;
    }
    const { good, expected } = KNOWN[name as keyof typeof KNOWN];
    const values = SEVERAL.has(name) ? text.split(",") : [text];
    for (const value of values) {
      if (value !== "" && !good(value)) found.push(`“${value}” is no ${name}: ${expected}.`);
    }
  }
  return found;
}

const any = { good: () => true, expected: "" };
const moment = {
  good: (value: string) => time(value) !== "",
  expected: "it is a time, or a span before now such as 24h",
};
const KNOWN = {
  status: oneOf(STATUSES),
  type: oneOf(TYPES),
  priority: {
    good: (value: string) => isPriority(priorityNumber(value)),
    expected: `it is 0 to 100, or ${listed(PRIORITIES.map((one) => one.name))}`,
  },
  model: any,
  q: any,
  since: moment,
  until: moment,
  sort: oneOf(SORTS),
};
const SEVERAL = new Set(["status", "type", "priority"]);

function oneOf(names: readonly string[]) {
  return {
    good: (value: string) => names.includes(value),
    expected: `it is ${listed(names)}`,
  };
}

function listed(names: readonly string[], last = "or"): string {
  return `${names.slice(0, -1).join(", ")} ${last} ${names.at(-1)}`;
}

/** Whether the text is a span before now, such as "24h". */
export function isSpan(text: string): boolean {
  return SPAN.test(text);
}

/** Whether tasks in these states can stand in line: only those that are pending do. */
export function queues(status: readonly Status[]): boolean {
  return status.every((one) => one === "pending");
}

/** The same as a query, without what is empty. */
export function writeFilter(filter: Filter, sort: Sort = "newest"): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ["status", "type", "priority"] as const) {
    if (filter[name].length > 0) query.set(name, filter[name].join(","));
  }
  for (const model of filter.model) query.append("model", model);
  for (const name of ["q", "since", "until"] as const) {
    if (filter[name].trim() !== "") query.set(name, filter[name].trim());
  }
  if (sort !== "newest") query.set("sort", sort);
  return query;
}

/** What the server is asked: spans before now have become times. */
export function askFor(filter: Filter, now: number): URLSearchParams {
  const query = writeFilter(filter);
  for (const name of ["since", "until"] as const) {
    const span = SPAN.exec(filter[name]);
    if (span) query.set(name, new Date(now - spanMinutes(span) * 60_000).toISOString());
  }
  return query;
}

/** The filter as the body of a bulk action. */
export function filterBody(filter: Filter, now: number): BulkFilter {
  const query = askFor(filter, now);
  const body: BulkFilter = {};
  if (filter.status.length > 0) body.status = [...filter.status];
  if (filter.type.length > 0) body.type = [...filter.type];
  if (filter.model.length > 0) body.model = [...filter.model];
  if (filter.priority.length > 0) {
    body.priority = filter.priority.map(Number);
  }
  for (const name of ["q", "since", "until"] as const) {
    const value = query.get(name);
    if (value !== null) body[name] = value;
  }
  return body;
}

export function isEverything(filter: Filter): boolean {
  return writeFilter(filter).size === 0;
}

/** The list with the value in it, or without it if it was there. */
export function toggled<T>(list: readonly T[], value: T): T[] {
  return list.includes(value) ? list.filter((one) => one !== value) : [...list, value];
}

/** The number of a priority that is named, as people write in an address. */
function priorityNumber(text: string): string {
  return String(PRIORITIES.find((one) => one.name === text)?.value ?? text);
}

function isPriority(text: string): boolean {
  return /^\d+$/.test(text) && Number(text) <= 100;
}

function spanMinutes(span: RegExpExecArray): number {
  return Number(span[1]) * MINUTES[span[2] as keyof typeof MINUTES];
}

function time(value: string | null): string {
  if (value === null || value === "") return "";
  return isSpan(value) || !Number.isNaN(Date.parse(value)) ? value : "";
}
