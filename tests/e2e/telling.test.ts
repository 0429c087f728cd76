import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import t from 'tap'
import { BIN, execute } from '../support/installation.js'
import { oneHost } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'
import { asUsersDo } from '../support/processes.js'
import { scratch } from '../support/scratch.js'

t.test(
  'a host that watches tells, with the time, that it does, and when the server goes and returns',
  async t => {
    const at = await oneHost(ownFolder(t))
    t.teardown(() => at.stop())
    const words = [process.execPath, BIN, ...at.syncArgs('dry-run'), '--watch', '--interval', '1']
    const watching = spawn(...asUsersDo(words), { stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => watching.kill('SIGKILL'))
    let told = ''
    for (const stream of [watching.stdout, watching.stderr])
      stream.on('data', (chunk: Buffer) => {
        told += chunk.toString()
        watching.emit('told')
      })
    const says = async (pattern: RegExp) => {
      const signal = AbortSignal.timeout(60_000)
      while (!pattern.test(told)) await once(watching, 'told', { signal })
    }
    const TIME = String.raw`^\d{4}-\d\d-\d\dT[\d:.+Z-]+ `
    await says(new RegExp(`${TIME}info: watching server=${at.url} interval=1 log=.*fail2ban\\.log$`, 'm'))
    await says(new RegExp(`${TIME}info: wake channel state=open by=websocket$`, 'm'))
    const port = new URL(at.url).port
    await at.stop()
    await says(new RegExp(`${TIME}info: wake channel state=closed`, 'm'))
    await says(
      new RegExp(`${TIME}error: The server could not be reached: .* at ${at.url}: ECONNREFUSED$`, 'm')
    )
    await at.serve(undefined, '--port', port)
    await says(new RegExp(`${TIME}info: server back server=${at.url}$`, 'm'))
  }
)

t.test(
  'whoever may not use the files is told who may',
  { skip: spawnSync('runuser', ['-u', 'nobody', 'true']).status === 0 ? false : 'needs root' },
  async t => {
    const at = await oneHost(scratch(t))
    t.teardown(() => at.stop())
    await at.stop()
    await chmod(at.dir, 0o755)
    await mkdir(at.path('state'), { mode: 0o700 })
    await writeFile(
      at.path('readable.conf'),
      'server = http://127.0.0.1:9\nusername = x\npassword = x\nuuid = x\n'
    )
    const asNobody = (...words: string[]) =>
      execute(['runuser', '-u', 'nobody', '--', process.execPath, BIN, ...words])
    for (const words of [['status'], ['audit'], ['list', '--server', 'web-1'], ['user', 'list']]) {
      const { code, err } = await asNobody(...words, ...at.folders)
      t.equal(code, 1, words.join(' '))
      t.match(err, /; run it as root, or as the server's user\n$/, words.join(' '))
      t.notMatch(err, /scandir|permission denied/, words.join(' '))
    }
    const { code, out } = await asNobody('doctor', '--side', 'server', ...at.folders)
    t.equal(code, 1)
    t.match(out, /^PROBLEM {2}server: files: this user may not use .*archive \(EACCES\)\n +-> .*run as root/m)
    const own = ['--state', at.path('state'), '--log', '/dev/null', '--firewall', 'dry-run']
    const sync = await asNobody('sync', '--config', at.path('readable.conf'), ...own)
    t.match(sync, { code: 1, err: /state.*; run it as root\n$/ })
  }
)
