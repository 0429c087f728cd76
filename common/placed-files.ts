import { createHash } from 'node:crypto'
import { lstat, open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ProductError, systemCode } from './errors.js'
import { makeFolders } from './json-file.js'

/** A file that is put in its place on a machine, such as a unit of systemd. */
export interface PlacedFile {
  /** Absolute, below the prefix. */
  path: string
  /** Lines; `#` must begin a comment in it. */
  text: string
  mode: number
  /** Left as it is once it was edited, which people are meant to do; another edited file is a conflict. */
  theirs?: boolean
}

/** What is done, or would be: `kept` is a file that somebody edited or made. */
export interface Placing {
  path: string
  what: 'new' | 'renewed' | 'same' | 'removed' | 'kept'
}

const MARK = /^# Installed by fail2ban-report \(([0-9a-f]{16})\)\. [^\n]*\n/
const HINT = 'Edited, it is no longer touched.'

/**
 * Puts files in place. All or none: everything is looked at before anything is written.
 * @param obsolete paths of ours that must not stay, such as the cron line when a timer is asked for
 * @param write false only tells
 * @throws ProductError CONFLICT naming files that somebody else made or edited; BAD_INPUT when a folder is closed
 */
export async function placeFiles(
  prefix: string,
  files: readonly PlacedFile[],
  obsolete: readonly string[],
  write: boolean
): Promise<Placing[]> {
  const looked = await Promise.all(
    files.map(async file => ({ file, state: await stateOf(prefix, file.path) }))
  )
  const foreign = looked.filter(({ file, state }) => state.what === 'foreign' && file.theirs !== true)
  if (foreign.length > 0) {
    const names = foreign.map(({ file }) => join(prefix, file.path)).join(', ')
    throw new ProductError(
      'CONFLICT',
      `not made by this command, or edited since: ${names}; move it away first`
    )
  }
  const done: Placing[] = []
  for (const { file, state } of looked) {
    const path = join(prefix, file.path)
    const text = marked(file.text)
    const what =
      state.what === 'missing'
        ? 'new'
        : state.what === 'foreign'
          ? 'kept'
          : state.text === text
            ? 'same'
            : 'renewed'
    if (write && (what === 'new' || what === 'renewed')) await put(path, text, file.mode)
    done.push({ path, what })
  }
  return [...done, ...(await removeFiles(prefix, obsolete, write)).filter(one => one.what === 'removed')]
}

/** Takes files away that are still as they were put there. @param write false only tells */
export async function removeFiles(
  prefix: string,
  paths: readonly string[],
  write: boolean
): Promise<Placing[]> {
  const done: Placing[] = []
  for (const one of paths) {
    const path = join(prefix, one)
    const { what } = await stateOf(prefix, one)
    if (what === 'missing') continue
    if (what === 'ours' && write)
      await unlink(path).catch((error: unknown) => Promise.reject(closed(path, error)))
    done.push({ path, what: what === 'ours' ? 'removed' : 'kept' })
  }
  return done
}

function marked(text: string): string {
  return `# Installed by fail2ban-report (${sumOf(text)}). ${HINT}\n${text}`
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

async function stateOf(
  prefix: string,
  path: string
): Promise<{ what: 'missing' | 'ours' | 'foreign'; text: string }> {
  const at = join(prefix, path)
  try {
    // A link, even to a file of ours, is somebody's own work (`systemctl mask` makes one).
    if (!(await lstat(at)).isFile()) return { what: 'foreign', text: '' }
    const text = await readFile(at, 'utf8')
    const head = MARK.exec(text)
    const ours = head !== null && head[1] === sumOf(text.slice(head[0].length))
    return { what: ours ? 'ours' : 'foreign', text }
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR')
      return { what: 'missing', text: '' }
    throw closed(at, error)
  }
}

async function put(path: string, text: string, mode: number): Promise<void> {
  const copy = `${path}.fail2ban-report-new`
  try {
    await makeFolders(dirname(path), 0o755)
    await unlink(copy).catch(() => undefined)
    const file = await open(copy, 'wx', mode)
    try {
      await file.chmod(mode)
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(copy, path)
  } catch (error) {
    throw closed(path, error)
  }
}

function closed(path: string, error: unknown): ProductError {
  const code = systemCode(error) ?? 'unknown error'
  const hint = code === 'EACCES' || code === 'EPERM' ? '; run it as root, or give --prefix' : ''
  return new ProductError('DISK', `${path} (${code})${hint}`, error)
}
