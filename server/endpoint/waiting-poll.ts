import { EventEmitter } from 'node:events'

/**
 * A request whose reply waits for something to say, as one of the connections of hosts that wait: the first text ends
 * it. For hosts whose proxy lets no WebSocket through.
 */
export class WaitingPoll extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  readonly bufferedAmount = 0
  /** The text, or undefined once it has ended without one. */
  readonly answer: Promise<string | undefined>
  #answered: (text: string | undefined) => void = () => undefined

  constructor() {
    super()
    this.answer = new Promise(resolve => (this.#answered = resolve))
  }

  send(text: string): void {
    this.#end(text)
  }

  /** Nobody can be asked over it: how long it lasts is bounded. */
  ping(): void {
    this.emit('pong')
  }

  close(): void {
    this.#end()
  }

  terminate(): void {
    this.#end()
  }

  #end(text?: string): void {
    if (this.readyState !== this.OPEN) return
    this.readyState = 3
    this.#answered(text)
    this.emit('close')
  }
}
