import { existsSync } from 'node:fs'
import Fastify from 'fastify'
import t from 'tap'
import { takeMultipartForms } from '../../server/multipart-forms.js'
import { RequestHooks } from '../../server/request-hooks.js'
import { ownFolder } from '../support/own-folder.js'

// Our routes spool files themselves; what the plugin does behind its own way to save them shows that its hooks run.
for (const type of ['multipart/form-data', 'Multipart/Form-Data']) {
  t.test(`what the plugin does at the end of a request is done for a form (${type})`, async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    takeMultipartForms(new RequestHooks(app), 1000)
    const folder = ownFolder(t)
    const saved: string[] = []
    app.post('/', async request => {
      const { files } = await request.saveRequestFiles({ tmpdir: folder })
      for (const { filepath } of files) {
        saved.push(filepath)
        t.ok(existsSync(filepath), 'the file is there while the request lasts')
      }
      return ''
    })
    const tidied = new Promise<void>(resolve => {
      app.addHook('onResponse', (_request, _reply, done) => {
        resolve()
        done()
      })
    })
    const payload = [
      '--b',
      'Content-Disposition: form-data; name="file"; filename="a.txt"',
      '',
      'text',
      '--b--',
      ''
    ].join('\r\n')
    const reply = await app.inject({
      method: 'POST',
      url: '/',
      headers: { 'content-type': `${type}; boundary=b` },
      payload
    })
    t.equal(reply.statusCode, 200)
    await tidied
    t.equal(saved.length, 1)
    t.notOk(saved.some(existsSync), 'nothing is left of it')
  })
}

t.test('a request that is no form is none for the plugin', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  takeMultipartForms(new RequestHooks(app), 1000)
  app.post('/', request => ({ form: request.isMultipart() }))
  const reply = await app.inject({ method: 'POST', url: '/', payload: { a: 1 } })
  t.same(reply.json(), { form: false })
})
