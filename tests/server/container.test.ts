import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { FOLDER_SETTINGS, SERVE_SETTINGS } from '../../server/config.js'
import { flagOf } from '../../common/settings.js'
import { BIN } from '../support/installation.js'

// No engine runs where these tests do: what can be seen in the file itself is looked at.
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const text = await readFile(join(ROOT, 'server/deploy/container/Containerfile'), 'utf8')

interface Instruction {
  name: string
  args: string
}
const instructions: Instruction[] = text
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n/g, ' ')
  .split('\n')
  .filter(line => line.trim() !== '')
  .map(line => {
    const [, name = '', args = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    return { name, args: args.replaceAll(/\s+/g, ' ').trim() }
  })
const all = (name: string) => instructions.filter(one => one.name === name).map(one => one.args)
const last = instructions.slice(instructions.findLastIndex(one => one.name === 'FROM'))
const lastOf = (name: string) => last.filter(one => one.name === name).map(one => one.args)

t.test('the container file has known instructions only, and a base that is pinned', async t => {
  const known =
    'ARG FROM WORKDIR COPY RUN LABEL ENV USER VOLUME EXPOSE HEALTHCHECK STOPSIGNAL ENTRYPOINT CMD'.split(' ')
  for (const { name, args } of instructions) t.ok(known.includes(name), `${name} ${args}`)
  const [base] = all('ARG')
  t.match(base, /^BASE=[\w./-]+:\d+\.\d+\.\d+-[\w-]+$/, 'a whole version, never latest')
  const [, version = ''] = /:(\d+\.\d+)/.exec(base ?? '') ?? []
  const { engines } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    engines: { node: string }
  }
  t.ok(Number(version) >= Number(/\d+\.\d+/.exec(engines.node)?.[0]), 'a Node.js that package.json allows')
  for (const from of all('FROM')) t.match(from, /^\$\{BASE\}( AS \w+)?$/)
})

t.test('it runs as a number that is not root, and needs no writable root file system', async t => {
  t.strictSame(lastOf('USER'), ['10001:10001'])
  t.strictSame(lastOf('RUN'), [], 'nothing is made in the image that runs')
  t.ok(last.findIndex(one => one.name === 'USER') < last.findIndex(one => one.name === 'CMD'))
  t.strictSame(lastOf('VOLUME'), ['["/data"]'])
  const env = Object.fromEntries(
    lastOf('ENV')[0]!
      .split(' ')
      .map(pair => pair.split('=') as [string, string])
  )
  for (const name of Object.keys(FOLDER_SETTINGS).filter(name => !name.startsWith('widest')))
    t.match(env[`F2BR_${name.toUpperCase()}`], /^\/data\//, `${name} lies in the volume`)
  for (const name of Object.keys(env).filter(name => name.startsWith('F2BR_'))) {
    const setting = Object.keys(SERVE_SETTINGS).find(
      one => `F2BR_${flagOf(one).replaceAll('-', '_').toUpperCase()}` === name
    )
    t.ok(setting, `${name} is a setting`)
  }
  t.equal(env.F2BR_PLAIN_HTTP, undefined, 'plain HTTP is for who runs it to allow')
})

t.test('no secrets, nothing from the network but locked packages, no shell strings', async t => {
  t.strictSame(all('ADD'), [])
  t.notMatch(text, /password|secret|token|https?:|curl|wget|sudo|chmod 777|--privileged/i)
  for (const run of [...all('RUN'), ...lastOf('CMD'), ...lastOf('ENTRYPOINT')]) {
    t.ok(Array.isArray(JSON.parse(run)), run)
    if (run.includes('"npm"') && !run.includes('"run"')) t.match(run, '--ignore-scripts')
  }
  t.match(all('RUN')[0], /"npm", "ci"/, 'what the lock file says')
})

t.test('what is copied exists and is not ignored; everything else is', async t => {
  const ignore = (await readFile(join(ROOT, '.containerignore'), 'utf8'))
    .split('\n')
    .filter(line => /^[^#]/.test(line))
  t.equal(ignore[0], '*', 'data, settings and history stay outside unless named')
  // Docker reads a file of this name, podman and buildah the other.
  const docker = join(ROOT, 'server/deploy/container/Containerfile.dockerignore')
  t.equal(await readFile(docker, 'utf8'), await readFile(join(ROOT, '.containerignore'), 'utf8'))
  const kept = ignore.filter(line => line.startsWith('!')).map(line => line.slice(1))
  const copied = all('COPY')
    .filter(args => !args.startsWith('--from='))
    .flatMap(args => args.split(' ').slice(0, -1))
  t.strictSame([...kept].sort(), [...copied].sort())
  for (const path of copied) t.ok(existsSync(join(ROOT, path)), path)
  for (const data of ['archive', 'download', 'temp', '.git', 'node_modules'])
    t.notOk(kept.includes(data), data)
  t.ok(
    ignore.indexOf('server/settings') > ignore.indexOf('!server'),
    'users and keys of a checkout stay outside'
  )
  const entry = JSON.parse(lastOf('ENTRYPOINT')[0]!) as string[]
  t.ok(BIN.endsWith(entry[1]!.slice('/app/'.length)), 'the program is where the build puts it')
  t.match(lastOf('HEALTHCHECK')[0], `CMD ["node", "${entry[1]!}", "health"]`)
})
