import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { RequestHooks } from '../../server/request-hooks.js'

function appOf(t: Test): { app: FastifyInstance; hooks: RequestHooks; said: string[] } {
  const app = Fastify()
  t.teardown(() => app.close())
  return { app, hooks: new RequestHooks(app), said: [] }
}

const forPosts = (hooks: RequestHooks) => hooks.appFor(request => request.method === 'POST')

t.test('looks run in their order, and none behind one that answered', async t => {
  const { app, hooks, said } = appOf(t)
  hooks.look(() => said.push('first') > 0)
  hooks.look((request, reply) => {
    if (request.method === 'GET') return true
    void reply.code(404).send('')
    return false
  })
  hooks.look(() => said.push('third') > 0)
  hooks.end(() => said.push('end'))
  app.all('/', () => said.push('route') && '')
  t.equal((await app.inject({ url: '/' })).statusCode, 200)
  t.same(said.splice(0), ['first', 'third', 'route', 'end'])
  t.equal((await app.inject({ method: 'POST', url: '/' })).statusCode, 404)
  t.same(said, ['first', 'end'])
})

t.test("a plugin's hooks run at its requests alone, one after the other, ahead of the route", async t => {
  const { app, hooks, said } = appOf(t)
  const few = forPosts(hooks)
  few.addHook('onRequest', async () => {
    await new Promise(setImmediate)
    said.push('promise')
  })
  few.addHook('onRequest', (_request, _reply, done) => {
    said.push('callback')
    // No error, as some plugins spell it.
    setImmediate(() => (done as (error: null) => void)(null))
  })
  const ended = new Promise<void>(resolve => {
    few.addHook('onResponse', async () => {
      said.push('end')
      resolve()
      return Promise.resolve()
    })
  })
  app.all('/', () => said.push('route') && '')
  await app.inject({ url: '/' })
  t.same(said.splice(0), ['route'])
  await app.inject({ method: 'POST', url: '/' })
  await ended
  t.same(said, ['promise', 'callback', 'route', 'end'])
})

t.test('what fails in such a hook is the answer, and the route never runs', async t => {
  for (const kind of ['rejects', 'throws', 'calls back'] as const) {
    const { app, hooks, said } = appOf(t)
    const fails = Object.assign(new Error('no room'), { statusCode: 503 })
    const few = forPosts(hooks)
    if (kind === 'calls back') few.addHook('onRequest', (_request, _reply, done) => done(fails))
    if (kind === 'rejects') few.addHook('onRequest', () => Promise.reject(fails))
    if (kind === 'throws') {
      few.addHook('onRequest', (_request, _reply, done) => {
        if (said.length === 0) throw fails
        done()
      })
    }
    app.post('/', () => said.push('route') && '')
    const reply = await app.inject({ method: 'POST', url: '/' })
    t.match(reply, { statusCode: 503, body: /no room/ }, kind)
    t.same(said, [], kind)
  }
})

t.test('a plugin that has a hook which would run at every request is not taken', t => {
  const { hooks } = appOf(t)
  const few = forPosts(hooks)
  t.throws(() => few.addHook('preHandler', (_request, _reply, done) => done()), /preHandler/)
  t.doesNotThrow(() => few.addHook('onReady', done => done()))
  t.end()
})

t.test('a value a plugin keeps with a request is that one’s own', async t => {
  const { app, hooks } = appOf(t)
  const few = forPosts(hooks)
  few.decorateRequest('mark', 'none')
  few.decorateRequest('markTwice', function (this: FastifyRequest) {
    return (this as unknown as { mark: string }).mark.repeat(2)
  })
  few.decorate('told', 'by the plugin')
  few.addHook('onRequest', (request, _reply, done) => {
    Object.assign(request, { mark: String(request.headers['x-mark']) })
    done()
  })
  app.all('/', async request => {
    await new Promise(setImmediate)
    const { mark, markTwice } = request as unknown as { mark: string; markTwice: () => string }
    return [mark, markTwice.call(request), (app as unknown as { told: string }).told]
  })
  const [a, b, none] = await Promise.all([
    app.inject({ method: 'POST', url: '/', headers: { 'x-mark': 'a' } }),
    app.inject({ method: 'POST', url: '/', headers: { 'x-mark': 'b' } }),
    app.inject({ url: '/' })
  ])
  t.same(a.json(), ['a', 'aa', 'by the plugin'])
  t.same(b.json(), ['b', 'bb', 'by the plugin'])
  t.same(none.json(), ['none', 'nonenone', 'by the plugin'])
})
