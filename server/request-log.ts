import type { FastifyBaseLogger } from 'fastify'

type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
type Child = Parameters<FastifyBaseLogger['child']>
/** What pino takes: an object, a text, or both. */
type Words = [unknown, ...unknown[]]

/**
 * The log of one request, which names it in every line. It is made of the app's when it is first written to: few
 * requests are told of, and to make it takes a twentieth of a poll. For Fastify's `childLoggerFactory`.
 */
export class RequestLog implements FastifyBaseLogger {
  #made: FastifyBaseLogger | undefined

  constructor(
    private readonly parent: FastifyBaseLogger,
    private readonly bindings: Child[0],
    private readonly options: Child[1]
  ) {}

  get level(): FastifyBaseLogger['level'] {
    return this.#log().level
  }

  set level(level: FastifyBaseLogger['level']) {
    this.#log().level = level
  }

  fatal(...words: Words): void {
    this.#write('fatal', words)
  }

  error(...words: Words): void {
    this.#write('error', words)
  }

  warn(...words: Words): void {
    this.#write('warn', words)
  }

  info(...words: Words): void {
    this.#write('info', words)
  }

  debug(...words: Words): void {
    this.#write('debug', words)
  }

  trace(...words: Words): void {
    this.#write('trace', words)
  }

  silent(...words: Words): void {
    this.#write('silent', words)
  }

  child(...given: Child): FastifyBaseLogger {
    return this.#log().child(...given)
  }

  #write(level: Level, words: Words): void {
    const log = this.#log()
    Reflect.apply(log[level], log, words)
  }

  #log(): FastifyBaseLogger {
    return (this.#made ??= this.parent.child(this.bindings, this.options))
  }
}
