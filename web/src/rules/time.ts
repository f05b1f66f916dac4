// Times and spans as people read them. Times are local; UTC is shown on hover.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A span in at most two units: "340 ms", "2.4 s", "3m 05s", "2h 07m", "4d 3h". */
export function span(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 0.95) return "<1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / SECOND).toFixed(ms < 9950 ? 1 : 0)} s`;
  const seconds = Math.round(ms / SECOND);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d ${Math.floor((minutes % 1440) / 60)}h`;
}

/** How far away a time is: "now", "12 s ago", "in 3 min". Steps are coarse, so that it seldom changes. */
export function ago(then: number, now: number): string {
  const distance = Math.abs(now - then);
  if (distance < 1.5 * SECOND) return "now";
  const text = coarse(distance);
  return then <= now ? `${text} ago` : `in ${text}`;
}

function coarse(ms: number): string {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** A local time of day, with the date unless it is today's. */
export function localTime(then: number, now: number): string {
  const time = new Date(then);
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  if (time.toDateString() === new Date(now).toDateString()) return clock;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock}`;
}

/** The same moment in UTC, for the title of what shows it. */
export function utc(then: number): string {
  return new Date(then).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** Milliseconds since 1970 of an RFC 3339 time; null of none, and of what is not one. */
export function moment(text: string | null | undefined): number | null {
  if (text === null || text === undefined) return null;
  const value = Date.parse(text);
  return Number.isNaN(value) ? null : value;
}

/** The value of a datetime-local field for a moment. */
export function fieldTime(then: number): string {
  const time = new Date(then - new Date(then).getTimezoneOffset() * MINUTE);
  return time.toISOString().slice(0, 19);
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
