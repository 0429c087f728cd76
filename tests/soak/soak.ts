import type { ConnectionFault } from '../support/fault-proxy.js'
import { Admin, type Answer } from './admin.js'
import { Children, drawFaults, type Child, type OwnFaults } from './children.js'
import { NO_SMALL_DISK } from '../support/small-disk.js'
import { ADMINS, SoakInstallation } from './installation.js'
import { Model } from './model.js'
import { Random } from './random.js'
import { ServerSeat } from './server-seat.js'
import { Trail } from './trail.js'
import { targetsOf, Whitelisting } from './whitelisting.js'

export const HOSTS = ['web-1', 'web-2', 'db-1', 'mail-1']
export const JAILS = ['sshd', 'nginx-auth', 'postfix']
const ADDRESSES = 200
/** Changes on the disk in the life of a process that is to kill itself: a cycle makes up to a hundred. */
const SERVER_CHANGES = 2500
const CLIENT_CHANGES = 90

/** Everything a run has: the processes, the folders, and what admins were told. */
export class Soak {
  readonly random: Random
  readonly children = new Children()
  readonly model: Model
  readonly whitelisting: Whitelisting
  /** What must be on record. */
  readonly trail = new Trail()
  readonly at: SoakInstallation
  readonly seats: ServerSeat[] = []
  readonly admins = ADMINS.map(name => new Admin(name))
  readonly cyclesUnderWay = new Set<Child>()
  /** Cycles of hosts that came to each end. */
  readonly cycles = { whole: 0, failed: 0, busy: 0, killed: 0 }
  /** A settings file that is cut just now. */
  cutSettings = false
  /** False while everything is to come to rest. */
  faulty = true

  constructor(
    readonly seed: number,
    dir: string,
    /** Told what happens, a line each. */
    readonly note: (line: string) => void
  ) {
    this.random = new Random(seed)
    const ips = Array.from({ length: ADDRESSES }, (_, at) =>
      at % 4 === 3 ? `2001:db8::${at}` : `203.0.113.${at + 1}`
    )
    this.model = new Model(HOSTS, JAILS, ips)
    this.whitelisting = new Whitelisting(targetsOf(ips))
    this.at = new SoakInstallation(dir, HOSTS)
  }

  /** Makes the folders and seats. */
  async make(servers: number): Promise<void> {
    await this.at.make(NO_SMALL_DISK === undefined)
    while (this.seats.length < servers) {
      const seat = await ServerSeat.make(this.children, this.at.serveArgs())
      seat.forAdmins.fault = () => this.#connectionFault(false)
      seat.forHosts.fault = () => this.#connectionFault(true)
      this.seats.push(seat)
    }
  }

  /** Lets servers take all seats. */
  async open(): Promise<void> {
    for (const seat of this.seats) seat.open(() => this.#serverFaults())
    await Promise.all(this.seats.map(seat => seat.listens()))
  }

  /** Lets one of the admins ask one of the servers that listen. */
  async ask(
    random: Random,
    path: string,
    body: object
  ): Promise<{ admin: string; seat: number; answer: Answer }> {
    const admin = random.pick(this.admins)
    let seat = -1
    const server = async () => {
      let listening: ServerSeat[] = []
      while (listening.length === 0) {
        await Promise.race(this.seats.map(one => one.listens()))
        listening = this.seats.filter(one => one.forAdmins.target !== 0)
      }
      const one = random.pick(listening)
      seat = this.seats.indexOf(one)
      return one.forAdmins.url
    }
    const answer = await admin.ask(server, path, body)
    return { admin: admin.name, seat, answer }
  }

  /** Faults of a cycle's process. */
  clientFaults(random: Random): OwnFaults {
    return this.faulty ? drawFaults(random, CLIENT_CHANGES) : {}
  }

  /** Ends everything, however far it has come. */
  async close(): Promise<void> {
    for (const disk of this.at.disks) await disk.mend()
    await Promise.all(this.seats.map(seat => seat.rest('SIGKILL')))
    await this.children.killAll()
    for (const seat of this.seats) await seat.close()
    for (const admin of this.admins) await admin.close()
    this.at.close()
  }

  #serverFaults(): OwnFaults {
    return this.faulty ? drawFaults(this.random, SERVER_CHANGES) : {}
  }

  #connectionFault(mayReplay: boolean): ConnectionFault {
    const { random } = this
    if (!this.faulty) return {}
    const direction = random.pick(['request', 'reply'] as const)
    return {
      ...(random.chance(0.1) ? { slow: random.between(1, 120) } : {}),
      ...(random.chance(0.08) ? { cut: { direction, bytes: random.between(1, 6000) } } : {}),
      // An admin's request that comes once more is one more wish; a host's must do no harm.
      ...(mayReplay && random.chance(0.15) ? { replay: random.between(0, 4000) } : {})
    }
  }
}
