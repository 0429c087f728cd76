import { EventEmitter } from 'node:events'

/** How a sync ended. */
export type SyncOutcome = 'success' | 'fail' | 'unchanged'

/** What happens on a client, for whoever listens; each with its payload. */
export interface ClientEvents {
  /** Something begins to be synced. */
  sync_start: { what: 'whitelist' }
  /** It ended. `hash` is the SHA-256 (hex) of what this host now has; `message` says what failed. */
  sync_complete: { what: 'whitelist'; result: SyncOutcome; hash: string; message?: string }
  /** Somebody wants a sync now, whatever the interval: a person, a command, the server. */
  sync_requested: { what: 'whitelist'; by: string }
}

/** The client's typed event bus; made once a process and passed in. */
export class ClientBus {
  readonly #emitter = new EventEmitter()

  emit<Name extends keyof ClientEvents>(name: Name, event: ClientEvents[Name]): void {
    this.#emitter.emit(name, event)
  }

  /** @returns stops listening */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    this.#emitter.on(name, listener)
    return () => void this.#emitter.off(name, listener)
  }
}
