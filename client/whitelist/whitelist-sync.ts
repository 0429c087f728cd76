import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import type { Address } from '../../common/address.js'
import { isoTime, type Clock } from '../../common/clock.js'
import { messageOf, ProductError, systemCode } from '../../common/errors.js'
import type { JsonFiles, JsonKind } from '../../common/json-file.js'
import { sha256 } from '../../common/sha256.js'
import { shapeCheck } from '../../common/shapes.js'
import type { ClientBus, SyncOutcome } from '../bus.js'
import { settingsVersion } from '../fail2ban/drop-in.js'
import type { Fail2ban } from '../fail2ban/fail2ban.js'
import { honour, type Honoured } from '../fail2ban/honour.js'
import { replaceFile } from '../replace-file.js'
import { addressesIn, copiedText, readPlain } from './plain-text.js'

const State = Type.Object({
  /** How the last sync that changed or failed ended, and when (ISO 8601). */
  result: Type.Optional(Type.Union([Type.Literal('success'), Type.Literal('fail')])),
  time: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  /** Of which text, and under which settings of fail2ban, fail2ban was last seen to it. */
  honoured: Type.Optional(Type.Object({ hash: Type.String(), settings: Type.String() })),
  /** What running jails may ignore for our sake. */
  items: Type.Optional(Type.Array(Type.String())),
  /** Since when (ISO 8601) jails that are switched on have not been seen running. */
  absentSince: Type.Optional(Type.String())
})
type State = Static<typeof State>
const STATE: JsonKind<State> = {
  check: shapeCheck(State),
  empty: () => ({}),
  corrupt: 'set-aside',
  mode: 0o640,
  rows: false
}

const NOT_RUNNING = 'it does not run; start it, and the next sync sees to it'
/** How long fail2ban may take to start all its jails; one that does not run after that is not waited for. */
const STARTS_WITHIN_MS = 10 * 60_000

/** What a host tells its server of its whitelist. */
export interface WhitelistReport {
  result: SyncOutcome
  /** SHA-256 (hex) of the text this host has; empty when it has none. */
  hash: string
  time: string
  message?: string
}

/** What came of a sync. */
export interface WhitelistResult extends WhitelistReport {
  entries: number
  /** Bans that were lifted. */
  lifted: string[]
}

/** What of it the server is told. */
export function reportOf({ result, hash, time, message }: WhitelistResult): WhitelistReport {
  return { result, hash, time, ...(message === undefined ? {} : { message }) }
}

/** What came of the first half of a sync. */
export interface BegunSync {
  changed: boolean
  failure?: ProductError
}

export interface WhitelistParts {
  /** The text as the server has it; undefined when it is what `hash` names. */
  fetch: (hash: string) => Promise<string | undefined>
  /** The file fail2ban may read. */
  path: string
  state: string
  files: JsonFiles
  /** Undefined when fail2ban is to be left alone. */
  fail2ban: Fail2ban | undefined
  reload: boolean
  bus: ClientBus
  clock: Clock
  /** Milliseconds until bans are looked for once more. */
  lateBans?: number
}

/** The host's copy of the server's whitelist, and what fail2ban makes of it. */
export class WhitelistSync {
  constructor(private readonly parts: WhitelistParts) {}

  /** What the host's copy holds; nothing when there is none. Lines that are none are left out. @throws ProductError UNREADABLE */
  async addresses(): Promise<Address[]> {
    return addressesIn(await copiedText(this.parts.path))
  }

  /** What the server is told when nothing new was tried. */
  async report(): Promise<WhitelistReport> {
    const { text, hash, failure } = await this.#copy()
    const { result = 'unchanged', time, message } = await this.#state()
    const why = text === undefined ? messageOf(failure) : message
    return {
      result: text === undefined ? 'fail' : result,
      hash,
      time: time ?? isoTime(this.parts.clock()),
      ...(why === undefined ? {} : { message: why })
    }
  }

  /**
   * Pulls, compares, writes and sees to fail2ban; each only where something differs. Only one runs at a time in a state
   * folder (the caller's lock).
   * @param surely asks fail2ban whether it runs also where nothing differs
   * @returns what came of it; failures too
   */
  async sync(surely = false): Promise<WhitelistResult> {
    return this.finish(await this.begin(), surely)
  }

  /**
   * The first half of a sync: the copy, on which depends what may be blocked. Needs nothing of fail2ban.
   * @param known SHA-256 of the server's text, when the server has just told it: then it is fetched only if it differs
   */
  async begin(known?: string): Promise<BegunSync> {
    this.parts.bus.emit('sync_start', { what: 'whitelist' })
    return outcomeOf(() => this.#pull(known))
  }

  /**
   * The second half: fail2ban, which may take its time. What could not be fetched does not keep it from heeding what is
   * here.
   * @param surely as in `sync`
   * @returns what came of both halves; failures too
   */
  async finish(begun: BegunSync, surely = false): Promise<WhitelistResult> {
    const { bus, clock } = this.parts
    const lifted: string[] = []
    const honoured = await outcomeOf(() => this.#honour(lifted, surely))
    const { text = '', hash, failure: unreadable } = await this.#copy()
    const failure = begun.failure ?? honoured.failure ?? unreadable
    const changed = begun.changed || honoured.changed
    const result = failure !== undefined ? 'fail' : changed ? 'success' : 'unchanged'
    const message = failure === undefined ? {} : { message: messageOf(failure) }
    const time = isoTime(clock())
    await this.#note(result, time, message)
    bus.emit('sync_complete', { what: 'whitelist', result, hash, ...message })
    return { result, hash, time, entries: addressesIn(text).length, lifted, ...message }
  }

  /** Takes everything back that a sync has done, once: the module was switched off. @throws ProductError */
  async withdraw(): Promise<void> {
    const state = await this.#state()
    if (state.honoured === undefined && state.items === undefined) return
    const { fail2ban, path } = this.parts
    if (fail2ban !== undefined) await this.#honourWith(fail2ban, [], '', [])
    if ((await this.#copy()).text !== '') await replaceFile(path, '')
    await this.#change(() => ({}))
  }

  async #pull(known: string | undefined): Promise<boolean> {
    const { fetch, path } = this.parts
    // One that can't be read is fetched anew.
    const { text: old, hash: oldHash } = await this.#copy()
    if (known !== undefined && old !== undefined && known === oldHash) return false
    const text = await fetch(oldHash)
    if (text === undefined || text === old) return false
    readPlain(text)
    await mkdir(dirname(path), { recursive: true, mode: 0o755 }).catch((error: unknown) => {
      throw new ProductError('DISK', `${dirname(path)} (${systemCode(error) ?? 'unknown error'})`, error)
    })
    await replaceFile(path, text, old === undefined || old === '' ? 0o640 : undefined)
    return true
  }

  /** @throws ProductError COMMAND, DISK; NOT_HEEDED where fail2ban is there and does not run */
  async #honour(lifted: string[], surely: boolean): Promise<boolean> {
    const { fail2ban } = this.parts
    if (fail2ban === undefined) return false
    const text = await copiedText(this.parts.path)
    const hash = sha256(text)
    const { honoured } = await this.#state()
    const settings = await settingsVersion(fail2ban.place.config)
    if (honoured?.hash === hash && honoured.settings === settings) {
      if (!surely || text === '' || (await fail2ban.version()) === undefined) return false
      if (await fail2ban.isRunning()) return false
      await this.#change(withoutHonoured)
      throw new ProductError('NOT_HEEDED', NOT_RUNNING)
    }
    const addresses = await this.addresses()
    // Nothing to be ignored, and nothing was: fail2ban is not even looked for.
    if (addresses.length === 0 && honoured === undefined && (await this.#state()).items === undefined)
      return false
    const { changed, installed, absent } = await this.#honourWith(fail2ban, addresses, hash, lifted)
    if (installed && absent === undefined && addresses.length > 0)
      throw new ProductError('NOT_HEEDED', NOT_RUNNING)
    return changed
  }

  async #honourWith(
    fail2ban: Fail2ban,
    addresses: readonly Address[],
    hash: string,
    lifted: string[]
  ): Promise<Honoured> {
    const { path, reload, lateBans, clock } = this.parts
    const { items: before = [] } = await this.#state()
    const done = await honour(fail2ban, {
      addresses,
      path,
      before,
      reload,
      intend: items => this.#change(state => ({ ...withoutHonoured(state), items: [...items] })),
      ...(lateBans === undefined ? {} : { lateBans })
    })
    lifted.push(...done.lifted)
    const { absent, items } = done
    const since = absent === undefined || absent.length === 0 ? undefined : await this.#absentSince()
    // Else the next sync looks again: a fail2ban that is installed, or starts, later on is to heed it too.
    const stays =
      absent !== undefined && (since === undefined || clock() - Date.parse(since) >= STARTS_WITHIN_MS)
    const settings = await settingsVersion(fail2ban.place.config)
    await this.#change(({ result, time, message }) =>
      given({
        result,
        time,
        message,
        items: items.length === 0 && !stays ? undefined : [...new Set(items)],
        ...(stays ? { honoured: { hash, settings } } : { absentSince: since })
      })
    )
    return done
  }

  async #absentSince(): Promise<string> {
    return (await this.#state()).absentSince ?? isoTime(this.parts.clock())
  }

  async #note(result: SyncOutcome, time: string, message: { message?: string }): Promise<void> {
    const state = await this.#state()
    // The same failure again and again is one.
    const same = state.result === result && state.message === message.message
    if ((result === 'unchanged' && state.result !== 'fail') || (result === 'fail' && same)) return
    const ended = result === 'unchanged' ? 'success' : result
    await this.#change(({ honoured, items, absentSince }) =>
      given({ result: ended, time, ...message, honoured, items, absentSince })
    )
  }

  async #state(): Promise<State> {
    return (await this.parts.files.read(this.parts.state, STATE)).value
  }

  async #change(decide: (state: State) => State): Promise<void> {
    await this.parts.files.change(this.parts.state, STATE, ({ value }) => ({
      value: decide(value),
      result: undefined
    }))
  }

  /** The host's copy; without `text` when it can't be read. */
  async #copy(): Promise<{ text?: string; hash: string; failure?: ProductError }> {
    try {
      const text = await copiedText(this.parts.path)
      return { text, hash: text === '' ? '' : sha256(text) }
    } catch (error) {
      if (!(error instanceof ProductError)) throw error
      return { hash: '', failure: error }
    }
  }
}

async function outcomeOf(work: () => Promise<boolean>): Promise<BegunSync> {
  try {
    return { changed: await work() }
  } catch (error) {
    if (!(error instanceof ProductError)) throw error
    return { changed: false, failure: error }
  }
}

/** Without the fields that are not given. */
function given(fields: { [Name in keyof State]?: State[Name] | undefined }): State {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function withoutHonoured(state: State): State {
  const next = { ...state }
  delete next.honoured
  return next
}
