import Fastify, { LogController } from 'fastify'
import { pino } from 'pino'
import t from 'tap'
import { RequestLog } from '../../server/request-log.js'

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const

t.test(
  'what is written to the log of a request names it, at its level; nothing is made for others',
  async t => {
    const lines: Record<string, unknown>[] = []
    const logger = pino(
      { level: 'trace', base: null },
      { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) }
    )
    let made = 0
    logger.onChild = () => made++
    const app = Fastify({
      loggerInstance: logger,
      logController: new LogController({ disableRequestLogging: true }),
      childLoggerFactory: (parent, bindings, options) => new RequestLog(parent, bindings, options)
    })
    t.teardown(() => app.close())
    app.get('/still', () => '')
    app.get('/told', request => {
      for (const level of LEVELS) request.log[level]({ event: level }, 'told')
      request.log.silent({ event: 'silent' }, 'told')
      request.log.info('a text alone')
      request.log.child({ more: 1 }).info('of its own')
      return request.log.level
    })
    app.get('/few', { logLevel: 'error' }, request => {
      request.log.warn('not told')
      request.log.level = 'info'
      request.log.info('told')
      return ''
    })
    await app.ready()
    const before = made
    await app.inject('/still')
    t.equal(made, before)
    t.equal((await app.inject('/told')).body, 'trace')
    t.equal(made, before + 2, 'one for the request, one for its child')
    const [first] = lines
    t.type(first?.reqId, 'string')
    t.ok(lines.every(({ reqId }) => reqId === first?.reqId))
    t.same(
      lines.map(({ event, msg, more }) => [event ?? more, msg]),
      [...LEVELS.map(level => [level, 'told']), [undefined, 'a text alone'], [1, 'of its own']]
    )
    t.same(
      lines.slice(0, LEVELS.length).map(({ level }) => level),
      LEVELS.map(level => logger.levels.values[level])
    )
    lines.length = 0
    await app.inject('/few')
    t.match(lines, [{ msg: 'told' }])
  }
)
