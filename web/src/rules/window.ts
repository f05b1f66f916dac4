// Arithmetic of a list that lays out only what is seen of it.

/** Rows that a list has at most: browsers cannot scroll further than some 17 million pixels. */
export const MOST_ROWS = 250_000;

/** Rows laid out beyond either edge, so that a little scrolling finds them there. */
const MARGIN = 8;

export interface Span {
  first: number;
  end: number; // exclusive
}

/** The rows to lay out. */
export function visible(top: number, height: number, rowHeight: number, rows: number): Span {
  const first = Math.max(0, Math.floor(top / rowHeight) - MARGIN);
  const end = Math.min(rows, Math.ceil((top + height) / rowHeight) + MARGIN);
  return { first: Math.min(first, Math.max(0, end)), end: Math.max(end, 0) };
}

/** The pages that hold these rows. */
export function pagesOf(span: Span, pageSize: number): number[] {
  const pages: number[] = [];
  if (span.end <= span.first) return pages;
  const last = Math.floor((span.end - 1) / pageSize);
  for (let page = Math.floor(span.first / pageSize); page <= last; page++) pages.push(page);
  return pages;
}

/** Where to scroll so that the row is seen whole; `top` itself if it is. */
export function scrolledTo(row: number, top: number, height: number, rowHeight: number): number {
  const rowTop = row * rowHeight;
  if (rowTop < top) return rowTop;
  return rowTop + rowHeight > top + height ? rowTop + rowHeight - height : top;
}

/** The pages to forget so that at most `most` are kept: those furthest from the ones in use. */
export function pagesToDrop(
  kept: Iterable<number>,
  used: readonly number[],
  most: number,
): number[] {
  const pages = [...kept];
  const middle = used.length === 0 ? 0 : ((used.at(0) ?? 0) + (used.at(-1) ?? 0)) / 2;
  return pages
    .filter((page) => !used.includes(page))
    .sort((a, b) => Math.abs(b - middle) - Math.abs(a - middle))
    .slice(0, Math.max(0, pages.length - most));
}
