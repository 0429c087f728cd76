import { lstat } from 'node:fs/promises'
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
export async function refuseLinks(roots: readonly string[], folder: string): Promise<void> {
  const root = roots.find(one => folder.startsWith(one + sep))
  if (root === undefined) return
  const folders: string[] = []
  for (let at = folder; at !== root; at = dirname(at)) folders.push(at)
  const links = await Promise.all(folders.map(isLink))
  const link = folders.find((_, at) => links[at])
  if (link === undefined) return
  throw new ProductError('DISK', `${relative(root, link)} is a symbolic link; put the folder itself there`)
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink()
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
    throw error
  }
}
