/** The word that differs from `text` by the fewest letters put in, left out or changed; undefined without words. */
export function nearest(text: string, words: readonly string[]): string | undefined {
  let best: { word: string; steps: number } | undefined
  for (const word of words) {
    const steps = distance(text, word)
    if (best === undefined || steps < best.steps) best = { word, steps }
  }
  return best?.word
}

// Levenshtein's distance, one row of his table at a time.
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, steps) => steps)
  for (let at = 1; at <= from.length; at++) {
    const next = [at]
    for (let column = 1; column <= to.length; column++) {
      const changed = (row[column - 1] ?? 0) + (from[at - 1] === to[column - 1] ? 0 : 1)
      next.push(Math.min(changed, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
