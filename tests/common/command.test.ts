import t from 'tap'
import { runCommand } from '../../common/command.js'

const node = (script: string, options = {}) => runCommand(process.execPath, ['-e', script], options)

t.test('what is printed is given in the result, or as it comes', async t => {
  const script = `process.stdout.write('dräußen 🏠'); process.stderr.write('seen')`
  t.strictSame(await node(script), { code: 0, stdout: 'dräußen 🏠', stderr: 'seen' })
  const pieces: string[] = []
  const onOutput = (piece: string) => void pieces.push(piece)
  t.strictSame(await node(script, { onOutput }), { code: 0, stdout: '', stderr: 'seen' })
  t.equal(pieces.join(''), 'dräußen 🏠')
})

t.test('a character that comes in two pieces is one, and one that is cut off is told', async t => {
  const script = `
    const [first, ...others] = Buffer.from('🏠')
    process.stdout.write(Buffer.concat([Buffer.alloc(1 << 20, 'a'), Buffer.from([first])]), () =>
      process.stdout.write(Buffer.from(process.argv[1] === 'whole' ? others : [])))`
  for (const [which, last] of [
    ['whole', '🏠'],
    ['half', '\ufffd']
  ] as const) {
    const pieces: string[] = []
    const onOutput = (piece: string) => void pieces.push(piece)
    await runCommand(process.execPath, ['-e', script, which], { onOutput })
    t.equal(pieces.join('').slice(1 << 20), last)
    t.ok(pieces.length > 1)
  }
})

t.test('who prints too much is ended, also when it is given as it comes', async t => {
  for (const more of [{}, { onOutput: () => undefined }]) {
    // By itself it would not end before it is ended.
    const script = `process.stdout.write('a'.repeat(5000)); setInterval(() => undefined, 1000)`
    const printing = node(script, { outputLimit: 4000, ...more })
    await t.rejects(printing, { code: 'COMMAND', message: /SIGKILL/ })
  }
})

t.test('a program finds what it is given in its environment, and PATH and locale as ever', async t => {
  const script = `process.stdout.write(JSON.stringify(process.env))`
  const { stdout } = await node(script, { env: { MALLOC: 'a', PATH: '/tmp', LC_ALL: 'de_DE' } })
  const env = JSON.parse(stdout) as Record<string, string>
  t.match(env, { MALLOC: 'a', LC_ALL: 'C.UTF-8' })
  t.notMatch(env['PATH'], '/tmp')
})
