/** Cuts pieces of text that arrive anyhow into whole lines, empty ones too. */
export class Lines {
  #rest = "";

  /** The lines that this piece completes. */
  push(piece: string): string[] {
    const lines = (this.#rest + piece).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines;
  }

  /** What is left at the end: a last line without a line break, or nothing. */
  end(): string[] {
    const rest = this.#rest;
    this.#rest = "";
    return rest === "" ? [] : [rest];
  }
}
