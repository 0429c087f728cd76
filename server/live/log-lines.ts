/** The server's own log lines, for those who watch them; costs nothing while nobody does. */
export class LogLines {
  readonly #listeners = new Set<(line: string) => void>()

  /** Takes a line on its way to the log. */
  write(line: string): void {
    for (const listener of this.#listeners) listener(line)
  }

  /** @returns ends it */
  listen(listener: (line: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
