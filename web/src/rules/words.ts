// Names that others gave, within sentences of the page.

const MOST = 3;

/** A name that cannot change the direction of what stands beside it. */
export function isolated(name: string): string {
  return `\u2068${name}\u2069`;
}

/** "a", "a and b", "a, b and c", "a, b, c and 2 more". */
export function listed(names: readonly string[]): string {
  const more = names.length - MOST;
  const all = more > 0 ? [...names.slice(0, MOST), `${more} more`] : names;
  const last = all.at(-1) ?? "";
  return all.length < 2 ? last : `${all.slice(0, -1).join(", ")} and ${last}`;
}
