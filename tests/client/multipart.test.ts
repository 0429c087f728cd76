import { once } from 'node:events'
import { createServer } from 'node:http'
import t from 'tap'
import { Requests } from '../../client/http.js'
import { multipart, type FormFile } from '../../client/multipart.js'
import { listening } from '../support/listening.js'

/** What another's reader of forms makes of one. */
async function read(fields: Record<string, string>, files: readonly FormFile[]) {
  const { type, parts } = multipart(fields, 'file[]', files)
  const form = await new Response(parts.join(''), { headers: { 'content-type': type } }).formData()
  return Promise.all(
    [...form].map(async ([name, value]) =>
      typeof value === 'string' ? [name, value] : [name, value.name, value.type, await value.text()]
    )
  )
}

t.test('fields come first, then the files, each with its name and its type', async t => {
  const fields = { username: 'web-1', password: 'ü "quoted" & =é\t--', uuid: '' }
  const files = [
    { name: 'sshd.blocklist.json', text: '[]' },
    {
      name: 'nginx.blocklist.json',
      text: '[\n{"ip":"2001:db8::1","reason":"Ünïcode 🙂"}\n]\n'
    },
    { name: 'empty.blocklist.json', text: '' }
  ]
  t.strictSame(await read(fields, files), [
    ...Object.entries(fields),
    ...files.map(({ name, text }) => ['file[]', name, 'application/json', text])
  ])
  t.strictSame(await read({}, files.slice(0, 1)), [
    ['file[]', 'sshd.blocklist.json', 'application/json', '[]']
  ])
  t.strictSame(await read(fields, []), Object.entries(fields))
})

t.test('no name breaks out of its quotation marks', async t => {
  const name = 'a"; filename="b\r\nX-Other: 1\r\n\r\n.json'
  const { parts } = multipart({ 'na"me\r\n': '1' }, 'file', [{ name, text: '{}' }])
  const body = parts.join('')
  t.match(body, 'name="na%22me%0D%0A"\r\n')
  t.match(body, 'filename="a%22; filename=%22b%0D%0AX-Other: 1%0D%0A%0D%0A.json"\r\n')
  t.notMatch(body, '\r\nX-Other')
})

t.test('each form has a boundary of its own, which no text can know', async t => {
  const types = Array.from({ length: 100 }, () => multipart({}, 'file', []).type)
  t.equal(new Set(types).size, 100)
  t.match(types[0], /^multipart\/form-data; boundary=fail2ban-report-[0-9a-f]{32}$/)
})

t.test('a form of many megabytes arrives to the byte, its length told before', async t => {
  // Its pieces are cut where characters of two halves stand.
  const text = JSON.stringify('x' + '🙂ü'.repeat(1_500_000))
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const told = { length: request.headers['content-length'], bytes: body.length }
      const type = request.headers['content-type'] ?? ''
      void new Response(body, { headers: { 'content-type': type } })
        .formData()
        .then(form => (form.get('file') as File).text())
        .then(got => response.end(JSON.stringify({ ...told, same: got === text })))
    })
  })
  const base = await listening(t, server)
  const requests = new Requests(20_000, undefined)
  t.teardown(() => requests.close())
  const body = multipart({ username: 'web-1' }, 'file', [{ name: 'a.json', text }])
  const reply = await requests.send(new URL(base), {
    ...{ method: 'POST', headers: {}, body, most: 1000, what: 'sending' },
    signal: AbortSignal.timeout(60_000)
  })
  const { length, bytes, same } = JSON.parse(reply.text) as { length: string; bytes: number; same: boolean }
  t.ok(same)
  t.equal(Number(length), bytes)
})

t.test('a server that answers before it has all of a form is heard, and sent no more', async t => {
  const cut: Promise<unknown>[] = []
  const server = createServer((request, response) => {
    request.on('error', () => undefined)
    cut.push(once(request.socket, 'close'))
    request.once('data', () => {
      request.pause()
      response.writeHead(413).end('too much')
    })
  })
  const base = await listening(t, server)
  const requests = new Requests(20_000, undefined)
  t.teardown(() => requests.close())
  const text = 'x'.repeat(30 * 1024 * 1024)
  const reply = await requests.send(new URL(base), {
    ...{ method: 'POST', headers: {}, most: 1000, what: 'sending' },
    body: multipart({}, 'file', [{ name: 'a.json', text }]),
    signal: AbortSignal.timeout(60_000)
  })
  t.match(reply, { status: 413, text: 'too much' })
  t.equal(cut.length, 1)
  await Promise.all(cut)
})
