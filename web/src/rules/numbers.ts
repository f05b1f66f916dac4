// Numbers as people read them, the same everywhere on the page.

const GROUPS = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12345 as "12,345". */
export function whole(value: number): string {
  return GROUPS.format(value);
}

/** At most four characters of digits: 940, "12.3k", "4.1M". */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size < 10 && size % 1 !== 0) return value.toFixed(size < 1 ? 2 : 1);
  if (size < 1000) return String(Math.round(value));
  if (size < 999_950) return `${(value / 1000).toFixed(size < 99_950 ? 1 : 0)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** Bytes as "812 B", "1.4 MB". */
export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  if (value < 999_950) return `${(value / 1000).toFixed(1)} kB`;
  return `${(value / 1_000_000).toFixed(1)} MB`;
}

/** "1 task", "2 tasks". */
export function counted(value: number, noun: string): string {
  return `${whole(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export const PRIORITIES: readonly { value: number; name: string }[] = [
  { value: 15, name: "critical" },
  { value: 10, name: "high" },
  { value: 5, name: "normal" },
  { value: 1, name: "low" },
];

/** The name of a priority that has one, else its number. */
export function priorityName(value: number): string {
  return PRIORITIES.find((one) => one.value === value)?.name ?? String(value);
}
