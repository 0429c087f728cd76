import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ProductError, systemCode } from '../../common/errors.js'

/** What the copy's page reads first: which file answers which question to the API. */
interface CopyIndex {
  product: 'fail2ban-report'
  /** When the copy was made (ISO 8601). */
  made: string
  /** Path below `api/` → file below `data/`. */
  files: Record<string, string>
}

/** In the built page: who answers its questions. */
const BY_SERVER = '<meta name="answers" content="server" />'
const BY_FILES = '<meta name="answers" content="files" />'
/** Copies that stay beside the newest, for pages that are open. */
const KEPT = 1

/**
 * A folder with the dashboard and its data as static files. Written anew, a page that is being read never meets half
 * of it: data lies in a folder of its own each time, and the index that names it is replaced at once.
 */
export class StaticCopy {
  readonly #files: Record<string, string> = {}
  readonly #data: string
  #count = 0

  private constructor(
    private readonly folder: string,
    private readonly made: string,
    private readonly name: string
  ) {
    this.#data = join(folder, 'data', name)
  }

  /**
   * Begins a copy. @param folder new, empty, or one that an earlier copy was written to
   * @param publicFolder the built dashboard
   * @throws ProductError CONFLICT for a folder with anything else in it, CONFIG when the dashboard is not built, DISK
   */
  static async begin(folder: string, publicFolder: string, made: string): Promise<StaticCopy> {
    await refuseOthers(folder)
    const name = made.replaceAll(/\D/g, '')
    const copy = new StaticCopy(folder, made, name)
    await onDisk(folder, async () => {
      await mkdir(folder, { recursive: true, mode: 0o755 })
      await rm(copy.#data, { recursive: true, force: true })
      await mkdir(copy.#data, { recursive: true, mode: 0o755 })
    })
    const page = await readFile(join(publicFolder, 'index.html'), 'utf8').catch((error: unknown) => {
      throw new ProductError('CONFIG', 'the dashboard is not built; run "npm run build"', error)
    })
    if (!page.includes(BY_SERVER))
      throw new ProductError('CONFIG', 'the dashboard is of another version; build it anew')
    await onDisk(folder, async () => {
      await mkdir(join(folder, 'assets'), { recursive: true, mode: 0o755 })
      for (const name of await readdir(join(publicFolder, 'assets'))) {
        await writeWhole(join(folder, 'assets', name), await readFile(join(publicFolder, 'assets', name)))
      }
      await writeWhole(join(folder, 'index.html'), page.replace(BY_SERVER, BY_FILES))
    })
    return copy
  }

  /** Adds the answer to one question. @throws ProductError DISK */
  async add(path: string, answer: unknown): Promise<void> {
    const file = `${++this.#count}.json`
    await onDisk(this.folder, () => writeWhole(join(this.#data, file), JSON.stringify(answer)))
    this.#files[path] = `${this.name}/${file}`
  }

  /** Makes what was added the copy's content. @returns how many files of data it has @throws ProductError DISK */
  async finish(): Promise<number> {
    const index: CopyIndex = { product: 'fail2ban-report', made: this.made, files: this.#files }
    await onDisk(this.folder, async () => {
      await writeWhole(join(this.folder, 'data', 'index.json'), JSON.stringify(index))
      const copies = (await readdir(join(this.folder, 'data'))).filter(name => /^\d+$/.test(name)).sort()
      const old = copies.filter(name => name !== this.name).slice(0, -KEPT)
      for (const name of old) await rm(join(this.folder, 'data', name), { recursive: true, force: true })
    })
    return this.#count
  }
}

async function refuseOthers(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return []
    throw new ProductError('BAD_INPUT', `--out ${folder} (${systemCode(error) ?? 'unknown error'})`, error)
  })
  if (names.length === 0) return
  const index = await readFile(join(folder, 'data', 'index.json'), 'utf8').catch(() => '')
  if (index.startsWith('{"product":"fail2ban-report"')) return
  // A copy that was killed before it had an index holds nothing but these.
  const begun = names.every(name => ['assets', 'data', 'index.html'].includes(name))
  if (begun && (await stat(join(folder, 'data')).catch(() => undefined))?.isDirectory() === true) return
  throw new ProductError('CONFLICT', `--out ${folder} holds other files; name a new folder`)
}

/** For a web server, which is another user: everybody may read. */
async function writeWhole(path: string, content: string | Buffer): Promise<void> {
  const copy = `${path}.new`
  const file = await open(copy, 'w', 0o644)
  try {
    await file.chmod(0o644)
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(copy, path)
}

async function onDisk<T>(folder: string, work: () => Promise<T>): Promise<T> {
  return work().catch((error: unknown) => {
    throw new ProductError('DISK', `${folder} (${systemCode(error) ?? 'unknown error'})`, error)
  })
}
