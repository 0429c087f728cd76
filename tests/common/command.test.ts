import t from 'tap'
import { runCommand } from '../../common/command.js'

const node = (script: string, options = {}) => runCommand(process.execPath, ['-e', script], options)

t.test('what is printed is given in the result, or as it comes', async t => {
  const script = `process.stdout.write('dräußen 🏠'); process.stderr.write('seen')`
  t.strictSame(await node(script), { code: 0, stdout: 'dräußen 🏠', stderr: 'seen' })
  const pieces: Buffer[] = []
  const onOutput = (piece: Buffer) => void pieces.push(piece)
  t.strictSame(await node(script, { onOutput }), { code: 0, stdout: '', stderr: 'seen' })
  t.equal(Buffer.concat(pieces).toString(), 'dräußen 🏠')
})

t.test('what it is fed may wait for what it printed', async t => {
  const script = `
    process.stdin.setEncoding('utf8').on('data', text => process.stdout.write(text.toUpperCase()))`
  let heard = ''
  let hear: (() => void) | undefined
  const onOutput = (piece: Buffer) => {
    heard += piece.toString()
    hear?.()
  }
  async function* feed() {
    yield 'one '
    while (heard !== 'ONE ') await new Promise<void>(resolve => (hear = resolve))
    yield 'two'
  }
  t.equal((await node(script, { feed: feed(), onOutput })).code, 0)
  t.equal(heard, 'ONE TWO')
})

t.test('a program that ends while more is to be fed is judged by its exit code', async t => {
  async function* feed() {
    yield 'a'.repeat(1 << 20)
    await new Promise(() => undefined)
  }
  t.equal((await node('process.exit(3)', { feed: feed() })).code, 3)
})

t.test('who prints too much is ended, also when it is given as it comes', async t => {
  for (const more of [{}, { onOutput: () => undefined }]) {
    // By itself it would not end before it is ended.
    const script = `process.stdout.write('a'.repeat(5000)); setInterval(() => undefined, 1000)`
    const printing = node(script, { outputLimit: 4000, ...more })
    await t.rejects(printing, { code: 'COMMAND', message: /SIGKILL/ })
  }
})

t.test('a program finds PATH and the locale in its environment, and nothing of ours', async t => {
  process.env['F2BR_PASSWORD'] = 'secret'
  t.teardown(() => delete process.env['F2BR_PASSWORD'])
  const { stdout } = await node(`process.stdout.write(JSON.stringify(process.env))`)
  const env = JSON.parse(stdout) as Record<string, string>
  t.equal(env['LC_ALL'], 'C.UTF-8')
  t.match(env['PATH'], /^\/usr\/sbin:/)
  t.notMatch(Object.keys(env).join(), 'F2BR_PASSWORD')
})
