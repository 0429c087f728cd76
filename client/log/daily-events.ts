import { join } from 'node:path'
import * as Type from 'typebox'
import type { Clock } from '../../common/clock.js'
import { versionOf, type JsonFiles, type JsonKind } from '../../common/json-file.js'
import { eventsFileOfDay, type EventsFileName } from '../../common/names.js'
import { sha256 } from '../../common/sha256.js'
import { DayEvents, LIMITS, shapeCheck, type BanEvent } from '../../common/shapes.js'
import { parseLine } from './parse-line.js'
import { readLog, type LogPosition } from './read-log.js'

/**
 * How far the log has been read, and what each day's file held then. Day files are written first, this file
 * second: killed in between, the next run reads the same lines again, and knows by the count which events of the
 * day it may not add twice.
 */
interface LogState {
  log?: { path: string; position: LogPosition }
  /** Day → events committed; hash of what the server was last sent, and the file's version then. */
  days: Record<string, { events: number; uploaded?: string; version?: string }>
}

const STATE: JsonKind<LogState> = {
  check: shapeCheck(
    Type.Object({
      log: Type.Optional(
        Type.Object({
          path: Type.String(),
          position: Type.Object({
            inode: Type.Number(),
            offset: Type.Integer({ minimum: 0 }),
            fingerprint: Type.Object({
              bytes: Type.Integer({ minimum: 0, maximum: 4096 }),
              sha256: Type.String()
            })
          })
        })
      ),
      days: Type.Record(
        Type.String(),
        Type.Object({
          events: Type.Integer({ minimum: 0 }),
          uploaded: Type.Optional(Type.String()),
          version: Type.Optional(Type.String())
        })
      )
    })
  ),
  empty: () => ({ days: {} }),
  corrupt: 'set-aside',
  mode: 0o640,
  rows: false
}
const DAY: JsonKind<BanEvent[]> = {
  check: shapeCheck(DayEvents),
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  rows: true
}

export interface CollectOptions {
  /** fail2ban's log. */
  log: string
  /** Folder of the daily files. Old days stay there: nothing is ever deleted, nor sent again while unchanged. */
  eventsDir: string
  /** Folder of the state file. */
  state: string
  files: JsonFiles
  clock: Clock
}

/** A day whose file differs from what the server has. */
export interface ChangedDay {
  name: EventsFileName
  text: string
  sha256: string
  version: string
}

/** What a run over the log found. */
export interface Collected {
  /** Events that no day file held before. */
  newEvents: number
  /** Bans of something that is no address. */
  noAddress: number
  /** Events beyond what one day's file may hold (LIMITS.dayEvents): not kept. */
  tooMany: number
  /** The log was replaced and the old one's rest is gone: events may be missing. */
  gap: boolean
  bytesRead: number
  changed: ChangedDay[]
}

/**
 * Reads what is new in fail2ban's log into the daily files, and tells which days the server lacks.
 * @throws ProductError CONFIG (no log), DISK
 */
export async function collectEvents(options: CollectOptions): Promise<Collected> {
  const { files } = options
  const statePath = join(options.state, 'log-state.json')
  return files.change(statePath, STATE, async ({ value, version }) => {
    const found = new Map<string, BanEvent[]>()
    const counts = { newEvents: 0, noAddress: 0, tooMany: 0 }
    const from = value.log?.path === options.log ? value.log.position : undefined
    const { position, bytesRead, gap } = await readLog(options.log, from, line => {
      const { event, noAddress } = { noAddress: false, ...parseLine(line, options.clock) }
      if (noAddress) counts.noAddress++
      if (event === undefined) return
      const day = event.timestamp.slice(0, 10)
      const events = found.get(day)
      if (events === undefined) found.set(day, [event])
      else events.push(event)
    })
    const days = { ...value.days }
    for (const [day, events] of found) {
      // Without a position there was no run before, or it read another log; after a gap the log may have been
      // edited or restored. Then it may hold what the days have.
      const committed = from === undefined || gap ? undefined : days[day]?.events
      const { held, added, tooMany } = await addToDay(options, day, events, committed)
      days[day] = { ...days[day], events: held }
      counts.newEvents += added
      counts.tooMany += tooMany
    }
    const changed = await changedDays(options, days)
    const same = version !== '' && found.size === 0 && from !== undefined && samePosition(from, position)
    const result = { ...counts, gap, bytesRead, changed }
    return same ? { result } : { value: { log: { path: options.log, position }, days }, result }
  })
}

function samePosition(one: LogPosition, other: LogPosition): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/**
 * Adds events to a day's file. What it holds stays; of what a run that was killed has added already, nothing is
 * added again.
 * @param committed events of the file that belong to what was read before. Undefined when nothing is known of
 *   the file: it is an older client's, or was begun by a run that was killed.
 */
async function addToDay(
  { files, eventsDir }: CollectOptions,
  day: string,
  events: readonly BanEvent[],
  committed: number | undefined
): Promise<{ held: number; added: number; tooMany: number }> {
  return files.change(join(eventsDir, eventsFileOfDay(day)), DAY, ({ value }) => {
    const fresh = without(events, value.slice(committed ?? 0))
    // One more would make the whole file count as corrupt.
    const added = Math.max(0, Math.min(fresh.length, LIMITS.dayEvents - value.length))
    const result = { held: value.length + added, added, tooMany: fresh.length - added }
    if (added === 0) return { result }
    const next = [...value, ...fresh.slice(0, added)]
    // An older client's file may hold later events than the log read here: as logged means by time.
    return { value: committed === undefined ? next.sort(byTime) : next, result }
  })
}

function byTime(one: BanEvent, other: BanEvent): number {
  return one.timestamp < other.timestamp ? -1 : one.timestamp > other.timestamp ? 1 : 0
}

/** The events that are not among the known ones; each known one answers for one of its equals only. */
function without(events: readonly BanEvent[], known: readonly BanEvent[]): readonly BanEvent[] {
  if (known.length === 0) return events
  const count = new Map<string, number>()
  const keyOf = (event: BanEvent) => JSON.stringify([event.timestamp, event.action, event.ip, event.jail])
  for (const event of known) count.set(keyOf(event), (count.get(keyOf(event)) ?? 0) + 1)
  return events.filter(event => {
    const left = count.get(keyOf(event)) ?? 0
    if (left > 0) count.set(keyOf(event), left - 1)
    return left === 0
  })
}

async function changedDays(
  { files, eventsDir }: CollectOptions,
  days: LogState['days']
): Promise<ChangedDay[]> {
  const changed: ChangedDay[] = []
  for (const [day, known] of Object.entries(days).sort()) {
    const name = eventsFileOfDay(day)
    const path = join(eventsDir, name)
    // A file that was not touched since needs no reading: a year has 365 of them.
    if (known.version !== undefined && known.version === (await versionOf(path))) continue
    const { text, version } = await files.read(path, DAY)
    if (version === '') continue
    const hash = sha256(text)
    if (hash !== known.uploaded) changed.push({ name, text, sha256: hash, version })
  }
  return changed
}

/** Notes that the server has a day as it was, so that it is not sent again. */
export async function markUploaded(
  { files, state }: Pick<CollectOptions, 'files' | 'state'>,
  day: ChangedDay
): Promise<void> {
  const key = day.name.replace(/^fail2ban-events-(\d{4})(\d{2})(\d{2})\.json$/, '$1-$2-$3')
  await files.change(join(state, 'log-state.json'), STATE, ({ value }) => {
    const known = value.days[key]
    // The state was lost since: the day will be offered again, which is harmless.
    if (known === undefined) return { result: undefined }
    const noted = { ...known, uploaded: day.sha256, version: day.version }
    return { value: { ...value, days: { ...value.days, [key]: noted } }, result: undefined }
  })
}
