/**
 * Rows with each column as wide as its widest cell. What a cell says may come from user code: its control characters
 * do not reach the terminal.
 */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const printable = rows.map((cells) => cells.map(withoutControls));
  const widths = printable.reduce<number[]>(
    (widest, cells) => cells.map((cell, column) => Math.max(widest[column] ?? 0, cell.length)),
    [],
  );
  return printable.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** A text in one line that cannot move the cursor. */
export function withoutControls(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
