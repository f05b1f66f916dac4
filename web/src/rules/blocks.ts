// Long text in blocks, so that a megabyte of it can be laid out bit by bit.

/** Characters that are laid out at first. */
export const FIRST = 20_000;

const BLOCK = 8000;

/** The text in pieces of about a screen each, cut after a line's end where there is one: a piece's
 * last line break is left out, since the next piece begins on a line of its own. */
export function blocks(text: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  while (text.length - start > BLOCK) {
    const cut = text.lastIndexOf("\n", start + BLOCK);
    const end = cut > start ? cut : wholeCharacter(text, start + BLOCK);
    pieces.push(text.slice(start, end));
    start = cut > start ? cut + 1 : end;
  }
  pieces.push(text.slice(start));
  return pieces;
}

/** The place, or the one before it if it would cut a pair of surrogates. */
function wholeCharacter(text: string, at: number): number {
  const code = text.charCodeAt(at - 1);
  return code >= 0xd800 && code <= 0xdbff ? at - 1 : at;
}
