import type { Snapshot } from '../../common/json-file.js'
import { sha256 } from '../../common/sha256.js'

/**
 * SHA-256 (hex) of the texts that values were read from or written as. One of a long list takes as long as all else of
 * a change; it is kept as long as the value is.
 */
export class TextHashes {
  readonly #known = new WeakMap<object, string>()

  /** The hash of a file's text as it was read. */
  of({ value, text }: Snapshot<object>): string {
    const hash = this.#known.get(value) ?? sha256(text)
    this.#known.set(value, hash)
    return hash
  }

  /** Keeps the hash of the text that a value is written as. */
  set(value: object, hash: string): void {
    this.#known.set(value, hash)
  }
}
