/** Rows and columns of a terminal. */
export interface TerminalSize {
  columns: number;
  rows: number;
}

/** A text that is drawn anew in its place on a terminal. */
export class LiveText {
  #drawn = 0;

  /** What has to be written so that the text stands where the last one stood. */
  draw(text: string, size: TerminalSize): string {
    // Source: ECMA-48, CUU (cursor up) and ED (erase to the end).
    const back = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\x1b[J`;
    const lines = fit(text.split("\n"), size);
    this.#drawn = lines.length;
    return `${back}${lines.join("\n")}\n`;
  }
}

/** As much as the terminal shows at once: what has scrolled away, or was wrapped, could not be drawn over. */
function fit(lines: readonly string[], { columns, rows }: TerminalSize): string[] {
  const room = Math.max(1, rows - 1);
  const shown =
    lines.length <= room ? lines : [...lines.slice(0, room - 1), `${lines.length - room + 1} more lines`];
  return shown.map((line) => line.slice(0, columns));
}
