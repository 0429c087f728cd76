import { lstatSync } from 'node:fs'
import { dirname, relative, sep } from 'node:path'
import { ProductError, systemCode } from './errors.js'

/**
 * Refuses a path that a symbolic link below one of our own folders would lead elsewhere: whoever may write there
 * (a web server's other programs, a restored backup) must not steer what this process reads and replaces. The
 * folders themselves may be links. What doesn't exist yet is no link.
 * @param roots absolute paths of our folders; a path below none of them is not looked at
 * @param folder a folder below one of them
 * @throws ProductError DISK naming the link
 */
export function refuseLinks(roots: readonly string[], folder: string): void {
  const root = roots.find(one => folder.startsWith(one + sep))
  if (root === undefined) return
  for (let at = folder; at !== root; at = dirname(at)) {
    if (!isLink(at)) continue
    throw new ProductError('DISK', `${relative(root, at)} is a symbolic link; put the folder itself there`)
  }
}

/** At once: the system knows the few folders by heart, and to have a thread ask takes twenty times as long. */
function isLink(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
    throw error
  }
}
