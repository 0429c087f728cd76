import type { Outcome } from '../../server/api/block-apply.js'

export type Wish = 'block' | 'unblock'

/** One address in one list of one host: what admins were told of it. */
export interface Subject {
  readonly host: string
  readonly jail: string
  readonly ip: string
  /** The last wish that was acknowledged; nobody has wished anything of it at first. */
  known: Wish
  /** When the block that was acknowledged ends, in milliseconds. */
  ends: number | undefined
  /** A wish whose reply was lost: it may have been granted, and may still be. No other is made until that is clear. */
  maybe: { wish: Wish; ends: number | undefined } | undefined
  /** A request about it is under way. */
  busy: boolean
  /** The whitelist was changed while it was asked for: either may be in force, until the next rest. */
  unclear: boolean
  /** What happened to it, one line each. */
  readonly history: string[]
}

/** What admins have asked for and been told. */
export class Model {
  readonly subjects: Subject[]
  /** Wishes acknowledged, answered with an error, and without a reply. */
  readonly counts = { acknowledged: 0, refused: 0, lost: 0 }
  readonly #byName = new Map<string, Subject>()

  constructor(hosts: readonly string[], jails: readonly string[], ips: readonly string[]) {
    this.subjects = hosts.flatMap(host => jails.flatMap(jail => ips.map(ip => newSubject(host, jail, ip))))
    for (const subject of this.subjects) this.#byName.set(nameOf(subject), subject)
  }

  /** The subject of an item of a reply. */
  get(host: string, jail: string, ip: string): Subject | undefined {
    return this.#byName.get(nameOf({ host, jail, ip }))
  }

  /** Notes what a reply with status 200 says of one subject. */
  told(subject: Subject, outcome: Outcome, ends: number | undefined): void {
    if (outcome === 'refused' || outcome === 'failed') {
      this.counts.refused++
      return
    }
    this.counts.acknowledged++
    // `already-blocked` changes nothing: the block that is there keeps its end.
    if (outcome === 'already-blocked' && subject.known === 'block') return
    const block = outcome === 'blocked' || outcome === 'already-blocked'
    subject.known = block ? 'block' : 'unblock'
    subject.ends = block ? ends : undefined
  }

  /**
   * True when an outcome can't follow what was told before. Ends depend on the clocks: blocks with one may be either.
   * @param covered whether the whitelist holds the address
   */
  contradicts(subject: Subject, wish: Wish, outcome: Outcome, covered: boolean): boolean {
    if (outcome === 'failed') return false
    if ((outcome === 'refused') !== (covered && wish === 'block')) return true
    if (outcome === 'refused' || subject.unclear) return false
    if (subject.known === 'unblock') return outcome === 'already-blocked' || outcome === 'unblocked'
    return subject.ends === undefined && ['blocked', 'already-unblocked', 'not-blocked'].includes(outcome)
  }

  /** Notes that no reply came. */
  lost(subject: Subject, wish: Wish, ends: number | undefined): void {
    this.counts.lost++
    subject.maybe = { wish, ends }
  }

  /** What may be in force of a subject now that everything has come to rest. @param covered by the whitelist */
  allowed(subject: Subject, now: number, covered: boolean): Set<Wish> {
    if (covered) return new Set(['unblock'])
    if (subject.unclear) return new Set(['block', 'unblock'])
    const inForce = (wish: Wish, ends: number | undefined) =>
      wish === 'block' && ends !== undefined && ends <= now ? 'unblock' : wish
    const allowed = new Set([inForce(subject.known, subject.ends)])
    if (subject.maybe !== undefined) allowed.add(inForce(subject.maybe.wish, subject.maybe.ends))
    return allowed
  }

  /** Takes what was found after a rest for known. */
  settle(subject: Subject, found: Wish): void {
    subject.known = found
    subject.ends = undefined
    subject.maybe = undefined
    subject.unclear = false
  }

  /** The moment at which every block with an end in the near future has ended. */
  lastEnd(): number {
    const ends = this.subjects.flatMap(({ ends, maybe }) => [ends ?? 0, maybe?.ends ?? 0])
    return Math.max(0, ...ends)
  }
}

/** `host jail ip`. */
export function nameOf({ host, jail, ip }: Pick<Subject, 'host' | 'jail' | 'ip'>): string {
  return `${host} ${jail} ${ip}`
}

function newSubject(host: string, jail: string, ip: string): Subject {
  return {
    ...{ host, jail, ip, known: 'unblock', ends: undefined, maybe: undefined },
    ...{ busy: false, unclear: false, history: [] }
  }
}
