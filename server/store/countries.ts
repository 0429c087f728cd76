import { readFile } from 'node:fs/promises'
import { Reader } from 'mmdb-lib'
import type { Address } from '../../common/address.js'
import type { Clock } from '../../common/clock.js'
import { messageOf, ProductError } from '../../common/errors.js'
import { versionOf } from '../../common/json-file.js'

/** How often the file is looked at: operators replace it about once a week. */
const LOOK_MS = 60_000

/** Databases name the country in one of these ways: MaxMind's and DB-IP's, and those of ip-location-db. */
interface CountryRow {
  country?: { iso_code?: unknown }
  registered_country?: { iso_code?: unknown }
  country_code?: unknown
}

/** Countries of addresses by an operator's own database in MaxMind's format; without one it knows none. */
export class Countries {
  #reader: Reader<never> | undefined
  #version = ''
  #looked = -Infinity

  /** @param path the `.mmdb` file; empty for none @param failed told why a new file was not taken */
  constructor(
    private readonly path: string,
    private readonly clock: Clock,
    private readonly failed: (error: unknown) => void
  ) {}

  /** Changes with the database; empty while there is none. */
  get version(): string {
    return this.#version
  }

  /** Opens the database. @throws ProductError CONFIG when a path is set that can't be read as one */
  async open(): Promise<void> {
    if (this.path === '') return
    try {
      await this.#load()
    } catch (error) {
      throw new ProductError('CONFIG', `--geoip ${this.path}: ${messageOf(error)}`, error)
    }
  }

  /** Looks for a newer file, at most once a minute; one that can't be read leaves the former in use. */
  async refresh(): Promise<void> {
    if (this.path === '' || this.clock() - this.#looked < LOOK_MS) return
    await this.#load().catch(this.failed)
  }

  /** ISO 3166-1 alpha-2 of an address, or of a network's first one; null where it is not known. */
  of(ip: Address): string | null {
    const row = this.#reader?.get(ip.split('/')[0] ?? '') as CountryRow | null | undefined
    const code = row?.country?.iso_code ?? row?.country_code ?? row?.registered_country?.iso_code
    return typeof code === 'string' && /^[A-Za-z]{2}$/.test(code) ? code.toUpperCase() : null
  }

  async #load(): Promise<void> {
    this.#looked = this.clock()
    const version = await versionOf(this.path)
    if (version === this.#version && version !== '') return
    this.#reader = new Reader<never>(await readFile(this.path))
    this.#version = version
  }
}
