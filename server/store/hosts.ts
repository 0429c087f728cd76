import { isoTime, timeOf, type Clock } from '../../common/clock.js'
import { namesNow, type JsonFiles } from '../../common/json-file.js'
import { isServerName, type ServerName } from '../../common/names.js'
import type { ClientStore } from './clients.js'
import type { Paths } from './folders.js'
import { KINDS, type Host } from './kinds.js'
import type { LiveNotes } from './live-notes.js'

/** What a client tells of its host when it asks. */
export type HostReport = Pick<
  Host,
  'peer' | 'addresses' | 'version' | 'firewall' | 'clockSkewMs' | 'whitelist'
>

/** A poll that tells nothing new is written down only this often: 1,000 hosts poll every minute. */
const SEEN_EVERY_MS = 60_000

/** The hosts: who they are, and when each was last heard of. */
export class HostStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly clients: ClientStore,
    private readonly clock: Clock,
    private readonly live: LiveNotes,
    /** No others are shown. */
    private readonly only?: readonly ServerName[]
  ) {}

  /** Every server that has an archive folder or may sync, sorted. */
  async names(): Promise<ServerName[]> {
    const { clients } = await this.clients.list().catch(() => ({ clients: [] }))
    const names = new Set(namesNow(this.paths.root.archive).filter(name => !name.includes('.json')))
    for (const { username } of clients) names.add(username)
    const found = [...names].filter(isServerName).sort()
    return found.filter(name => this.only?.includes(name) !== false)
  }

  /** What is known of a host. */
  async read(server: ServerName): Promise<Host> {
    return (await this.files.read(this.paths.host(server), KINDS.host)).value
  }

  /**
   * Notes that a host asked, and what it told.
   * @param synced it had nothing to do, or completed a sync-back, which is written down at once
   * @param read what is known of it, where that was read for this request
   */
  async seen(server: ServerName, report: HostReport, synced: boolean | 'back', read?: Host): Promise<void> {
    const now = this.clock()
    const known = read ?? (await this.read(server))
    const same = (['peer', 'version', 'firewall'] as const).every(
      key => (report[key] ?? known[key]) === known[key]
    )
    const sameAddresses =
      report.addresses === undefined || report.addresses.join() === known.addresses?.join()
    const sameWhitelist = (['result', 'hash', 'message'] as const).every(
      key => report.whitelist === undefined || report.whitelist[key] === known.whitelist?.[key]
    )
    const last =
      synced !== false ? Math.min(timeOf(known.lastSeen), timeOf(known.lastSync)) : timeOf(known.lastSeen)
    if (synced !== 'back' && same && sameAddresses && sameWhitelist && now - last < SEEN_EVERY_MS) return
    const times = { lastSeen: isoTime(now), ...(synced !== false ? { lastSync: isoTime(now) } : {}) }
    await this.files.change(this.paths.host(server), KINDS.host, ({ value }) => ({
      value: { ...value, ...report, ...times },
      result: undefined
    }))
    await this.live.publish('server_status', { server, ...times })
  }
}
