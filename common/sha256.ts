import { createHash } from 'node:crypto'
import { utf8Pieces } from './utf8-pieces.js'

/** SHA-256 in hex, of a text its UTF-8 bytes. */
export function sha256(content: string | Buffer): string {
  const hash = createHash('sha256')
  for (const bytes of typeof content === 'string' ? utf8Pieces(content) : [content]) hash.update(bytes)
  return hash.digest('hex')
}
