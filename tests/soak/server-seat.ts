import { setTimeout as delay } from 'node:timers/promises'
import { listeningUrl } from '../../server/cli/spawned-server.js'
import { FaultProxy } from '../support/fault-proxy.js'
import type { Child, Children, OwnFaults } from './children.js'

/** One server of the fleet: whoever ends it, another process takes its seat until it is told to rest. */
export class ServerSeat {
  readonly #children: Children
  readonly #args: string[]
  #child: Child | undefined
  #rests = true
  #seated: Promise<void> = Promise.resolve()

  private constructor(
    children: Children,
    args: string[],
    /** Admins come through this one, hosts through the other. */
    readonly forAdmins: FaultProxy,
    readonly forHosts: FaultProxy
  ) {
    this.#children = children
    this.#args = args
  }

  static async make(children: Children, args: string[]): Promise<ServerSeat> {
    return new ServerSeat(children, args, await FaultProxy.start(), await FaultProxy.start())
  }

  /** Keeps a server running. @param faults drawn anew for each process that takes the seat */
  open(faults: () => OwnFaults): void {
    this.#rests = false
    this.#seated = this.#keep(faults)
  }

  /** Waits until the server listens. */
  async listens(): Promise<void> {
    while (this.forAdmins.target === 0) await delay(20)
  }

  kill(): void {
    this.#child?.kill()
  }

  /** Ends the server for good, by SIGTERM or SIGKILL. */
  async rest(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#rests = true
    this.#child?.process.kill(signal)
    await this.#seated
  }

  async close(): Promise<void> {
    await this.forAdmins.close()
    await this.forHosts.close()
  }

  async #keep(faults: () => OwnFaults): Promise<void> {
    while (!this.#rests) {
      const child = this.#children.start(this.#args, faults())
      this.#child = child
      const port = await listeningUrl(child.process).then(
        url => Number(new URL(url).port),
        () => 0
      )
      this.#aim(port)
      await child.ended
      this.#aim(0)
    }
  }

  #aim(port: number): void {
    this.forAdmins.target = port
    this.forHosts.target = port
  }
}
