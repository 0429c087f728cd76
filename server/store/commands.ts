import { randomBytes } from 'node:crypto'
import {
  boundedOutput,
  checkParams,
  isCommandType,
  type CommandOutcome,
  type CommandParams,
  type CommandType,
  type GivenCommand
} from '../../common/commands.js'
import { isoTime, timeOf, type Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { serialise, type JsonFiles } from '../../common/json-file.js'
import { isServerName, type ServerName } from '../../common/names.js'
import type { AuditStore } from './audit.js'
import { clientActor, THE_SERVER, type AuditActor, type AuditDraft } from './audit-row.js'
import type { Paths } from './folders.js'
import { KINDS, type HostCommand } from './kinds.js'
import type { LiveNotes } from './live-notes.js'

export type { HostCommand } from './kinds.js'

/** A command nobody fetched for this long is never given out any more; milliseconds. */
export const WAIT_MS = 60 * 60_000
/** A host that was given a command and is silent for this long is not waited for; milliseconds. */
export const RUN_MS = 10 * 60_000
/** Commands of a host that may wait or run at a time, and those that are kept once they have ended. */
const MOST_OPEN = 50
const MOST_ENDED = 100
/** Characters of output kept of a host's commands in all, as every poll reads the file; the newest stay. */
const MOST_OUTPUT_KEPT = 256 * 1024
const OUTPUT_GONE = '(its output was dropped: newer ones take its place)'
/** Given to a host in one reply. */
const MOST_GIVEN = 20

/**
 * archive/<server>/commands.json: what hosts are told to do. A command is marked running, durably, before it is given
 * out, and never given out twice: whatever is killed when, it is run at most once.
 */
export class CommandStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly audit: AuditStore,
    private readonly clock: Clock,
    private readonly live: LiveNotes
  ) {}

  /** Commands of a host as they stand now, newest last. */
  async list(server: ServerName): Promise<readonly HostCommand[]> {
    const { value } = await this.files.read(this.paths.commands(server), KINDS.commands)
    return timedOut(value, this.clock())
  }

  /** The command of that id. @throws ProductError NOT_FOUND */
  async find(id: string): Promise<{ server: ServerName; command: HostCommand }> {
    const server = serverOfCommand(id)
    const command = server === undefined ? undefined : (await this.list(server)).find(one => one.id === id)
    if (server === undefined || command === undefined)
      throw new ProductError('NOT_FOUND', 'there is no such command')
    return { server, command }
  }

  /**
   * Puts a command where its host fetches it. @param params as they came in
   * @throws ProductError BAD_INPUT, BAD_ADDRESS, BAD_NAME; CONFLICT when too many wait
   */
  async add(
    server: ServerName,
    type: CommandType,
    params: Readonly<Record<string, unknown>>,
    actor: AuditActor
  ): Promise<HostCommand> {
    const now = this.clock()
    const command: HostCommand = {
      id: `${server}~${now.toString(36)}${randomBytes(8).toString('hex')}`,
      type,
      params: checkParams(type, params),
      state: 'pending',
      createdAt: isoTime(now),
      createdBy: actor.name
    }
    const row: AuditDraft = {
      what: 'command-added',
      before: null,
      after: shown(command),
      ...ofParams(command)
    }
    await this.#change(server, actor, commands => {
      if (commands.filter(isOpen).length >= MOST_OPEN) {
        throw new ProductError('CONFLICT', `${MOST_OPEN} commands of ${server} wait or run already`)
      }
      return { commands: [...commands, command], rows: [row], result: undefined }
    })
    await this.live.wake(server)
    return command
  }

  /** Gives a host what waits for it: once, and never again. */
  async take(server: ServerName): Promise<GivenCommand[]> {
    // Most polls find nothing: no lock for them.
    if (!(await this.list(server)).some(one => one.state === 'pending')) return []
    const startedAt = isoTime(this.clock())
    return this.#change(server, THE_SERVER, commands => {
      const given = commands.filter(one => one.state === 'pending').slice(0, MOST_GIVEN)
      const next = commands.map(one =>
        given.includes(one) ? { ...one, state: 'running' as const, startedAt } : one
      )
      const result = given.flatMap(({ id, type, params }) =>
        isCommandType(type) ? [{ id, type, params: params as CommandParams }] : []
      )
      return { commands: next, rows: [], result }
    })
  }

  /**
   * Keeps what a host says came of its commands. Only of those that run: a host can't answer twice, too late, or for
   * another. @param peer the address it says it from @returns the ids that were taken
   */
  async end(server: ServerName, outcomes: readonly CommandOutcome[], peer: string): Promise<string[]> {
    const told = new Map(outcomes.map(outcome => [outcome.id, outcome]))
    return this.#change(server, clientActor(server, peer), commands => {
      const endedAt = isoTime(this.clock())
      const ended: HostCommand[] = []
      const next = commands.map(one => {
        const outcome = told.get(one.id)
        if (one.state !== 'running' || outcome === undefined) return one
        const done = { ...one, state: outcome.state, endedAt, output: boundedOutput(outcome.output) }
        ended.push(done)
        return done
      })
      return {
        commands: next,
        rows: ended.map(one => endRow(one, 'running')),
        result: ended.map(({ id }) => id)
      }
    })
  }

  /** Tells browsers how commands stand; what came of them, they fetch. */
  async #tell(server: ServerName, commands: readonly HostCommand[]): Promise<void> {
    const told = commands.map(({ id, type, state }) => ({ server, id, type, state }))
    await this.live.publishAll('command_result', told)
  }

  /** Writes down what has timed out meanwhile. */
  async settle(server: ServerName): Promise<void> {
    const { value } = await this.files.read(this.paths.commands(server), KINDS.commands)
    if (timedOut(value, this.clock()) === value) return
    await this.#change(server, THE_SERVER, commands => ({ commands, rows: [], result: undefined }))
  }

  /** What has timed out is written down before, by the server itself; browsers are told of every command's new state. */
  async #change<T>(
    server: ServerName,
    actor: AuditActor,
    decide: (commands: readonly HostCommand[]) => {
      commands: readonly HostCommand[]
      rows: AuditDraft[]
      result: T
    }
  ): Promise<T> {
    const path = this.paths.commands(server)
    if (actor !== THE_SERVER) await this.settle(server)
    let changed: HostCommand[] = []
    const result = await this.files.change(path, KINDS.commands, current => {
      const now = timedOut(current.value, this.clock())
      const { commands, rows, result } = decide(now)
      const value = pruned(commands)
      const before = new Map(current.value.map(({ id, state }) => [id, state]))
      changed = commands.filter(({ id, state }) => before.get(id) !== state)
      const late = changed.filter(({ state }) => state === 'timeout')
      const lateRows = late.map(one => endRow(one, before.get(one.id) ?? 'pending'))
      const text = serialise(value, KINDS.commands.rows)
      if (text === current.text) return { result }
      const file = { path, current }
      const all = [...lateRows, ...rows]
      return { ...this.audit.change(server, file, value, actor, all, { text }), result }
    })
    await this.#tell(server, changed)
    return result
  }
}

/** The host a command is for; undefined for text that is no id. */
export function serverOfCommand(id: string): ServerName | undefined {
  const [, server = ''] = /^(.*)~[0-9a-z]{10,40}$/.exec(id) ?? []
  return isServerName(server) ? server : undefined
}

function isOpen(command: HostCommand): boolean {
  return command.state === 'pending' || command.state === 'running'
}

/** The very same array when nothing has timed out. */
function timedOut(commands: HostCommand[], now: number): HostCommand[] {
  const next = commands.map((one): HostCommand => {
    const waited = one.state === 'pending' && !(now - timeOf(one.createdAt) < WAIT_MS)
    const ran = one.state === 'running' && !(now - timeOf(one.startedAt) < RUN_MS)
    if (!waited && !ran) return one
    const output = waited ? 'its host did not fetch it in time' : 'its host did not tell what came of it'
    return { ...one, state: 'timeout', endedAt: isoTime(now), output }
  })
  return next.every((one, at) => one === commands[at]) ? commands : next
}

/** What is kept of them: as many as may be, with as much output as may be, both of those that ended last. */
function pruned(commands: readonly HostCommand[]): HostCommand[] {
  const ended = commands
    .filter(one => !isOpen(one))
    .reverse()
    .sort((a, b) => timeOf(b.endedAt) - timeOf(a.endedAt) || 0)
  const kept = new Map<HostCommand, HostCommand>()
  let left = MOST_OUTPUT_KEPT
  for (const one of ended.slice(0, MOST_ENDED)) {
    const output = one.output ?? ''
    // A note as short as this one is always kept.
    const fits = output.length <= Math.max(left, OUTPUT_GONE.length)
    kept.set(one, fits ? one : { ...one, output: OUTPUT_GONE })
    left = fits ? left - output.length : 0
  }
  return commands.flatMap(one => (isOpen(one) ? one : (kept.get(one) ?? [])))
}

/** What the audit trail says of a command; its output may be anything, and is not part of it. */
function shown({ id, type, params, state }: HostCommand): Record<string, unknown> {
  return { id, type, params, state }
}

function ofParams({ params }: HostCommand): Pick<AuditDraft, 'jail' | 'ip'> {
  const { jail, ip } = params
  return { ...(jail === undefined ? {} : { jail }), ...(ip === undefined ? {} : { ip }) }
}

function endRow(command: HostCommand, before: HostCommand['state']): AuditDraft {
  const { createdAt: asked, startedAt } = command
  return {
    what: 'command-ended',
    before: { state: before },
    after: shown(command),
    asked,
    ...(startedAt === undefined ? {} : { handedOut: startedAt }),
    ...ofParams(command)
  }
}
