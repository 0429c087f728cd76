import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { usualFolders } from '../../server/config.js'
import { execute } from '../support/installation.js'
import { scratch } from '../support/scratch.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Folders of the packages that the product runs on, as they are installed here. */
async function productionPackages(): Promise<string[]> {
  const lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>
  }
  return Object.entries(lock.packages).flatMap(([path, { dev }]) =>
    // Packages within others come with them; those for other platforms are not installed.
    dev !== true && /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && existsSync(join(ROOT, path))
      ? [path]
      : []
  )
}

t.test(
  'the packed tarball is whole: it installs without a registry, and works without a network',
  async t => {
    const dir = scratch(t)
    const prefix = join(dir, 'prefix')
    // A copy, as packing changes package.json for a moment; built already.
    const source = join(dir, 'source')
    await cp(ROOT, source, {
      recursive: true,
      filter: path =>
        !/^(\.git|\.tap|node_modules|tests|public|archive|download|temp)(\/|$)/.test(relative(ROOT, path))
    })
    // Packages themselves: npm packs a folder that is a link by where it leads.
    for (const path of await productionPackages()) {
      await cp(join(ROOT, path), join(source, path), { recursive: true, dereference: true })
    }
    const manifest = await readFile(join(source, 'package.json'), 'utf8')
    await writeFile(join(source, 'package.json'), manifest.replace('npm run build', 'true'))
    const npm = (...words: string[]) =>
      execFileSync('npm', words, {
        cwd: source,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, npm_config_cache: join(dir, 'cache'), NODE_OPTIONS: '' }
      })
    const told = npm('pack', '--json', '--pack-destination', dir)
    const [packed] = JSON.parse(told.slice(told.search(/^\[/m))) as {
      filename: string
      size: number
      files: { path: string }[]
    }[]
    t.notMatch(await readFile(join(source, 'package.json'), 'utf8'), 'bundleDependencies', 'as it was')
    t.notMatch(manifest, 'bundleDependencies', 'npm ci would not come to its end')
    const own = packed!.files.map(({ path }) => path).filter(path => !path.startsWith('node_modules/'))
    t.comment(`${packed!.filename}: ${(packed!.size / 1e6).toFixed(1)} MB, ${own.length} files of our own`)
    t.ok(packed!.size < 10_000_000)
    for (const path of own)
      t.match(
        path,
        /^(dist\/(?!tests)|server\/(deploy\/|README)|client\/(deploy\/|fail2ban\/|README)|[A-Z]+(\.md)?$|package\.json$|\.htaccess$)/,
        path
      )
    for (const path of [
      'dist/program/bin.js',
      'dist/public/index.html',
      'server/deploy/systemd/server.conf',
      'LICENSE'
    ])
      t.ok(own.includes(path), path)
    const developers = ['typescript', 'vite', 'tap', 'eslint', 'preact', 'playwright-core']
    for (const name of developers)
      t.notOk(
        packed!.files.some(({ path }) => path.startsWith(`node_modules/${name}/`)),
        name
      )

    // An empty cache, and nobody asked: all it needs is in the tarball.
    npm('install', '--global', '--offline', '--prefix', prefix, join(dir, packed!.filename))
    const home = join(prefix, 'lib/node_modules/fail2ban-report')
    const { overrides } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as {
      overrides: Record<string, string>
    }
    for (const [name, version] of Object.entries(overrides)) {
      const { version: got } = JSON.parse(
        await readFile(join(home, 'node_modules', name, 'package.json'), 'utf8')
      ) as { version: string }
      t.equal(got, version, `${name} as it was tested`)
    }
    t.strictSame(await readdir(join(prefix, 'lib/node_modules')), ['fail2ban-report'])

    const alone =
      process.getuid?.() === 0 ? ['unshare', '-n', 'sh', '-c', 'ip link set lo up && exec "$@"', '-'] : []
    const run = (...words: string[]) =>
      execute(['env', `HOME=${dir}`, ...alone, join(prefix, 'bin/fail2ban-report'), ...words])
    const help = await run('--help')
    t.strictSame([help.code, help.err], [0, ''])
    t.match(await run('--version'), { code: 0, out: /^\d+\.\d+\.\d+$/m })
    const demo = await run('demo', '--once')
    t.equal(demo.code, 0, demo.err)
    t.match(demo.out, /Done: pending became active/)
    await writeFile(
      join(dir, 'client.conf'),
      'server = http://127.0.0.1:9\nusername = x\npassword = y\nuuid = z\n'
    )
    const state = [
      '--state',
      join(dir, 'state'),
      '--log',
      '/dev/null',
      '--firewall',
      'dry-run',
      '--timeout',
      '1'
    ]
    t.match(await run('sync', '--config', join(dir, 'client.conf'), ...state), {
      code: 1,
      out: /NETWORK|ECONNREFUSED|/
    })
    t.match(await run('install', 'server', '--prefix', join(dir, 'files')), { code: 0 })
  }
)

t.test('where data lies when nobody says', async t => {
  const checkout = '/home/x/fail2ban-report/'
  t.match(usualFolders(checkout, 0, {}, '/root'), {
    archive: '/home/x/fail2ban-report/archive',
    settings: '/home/x/fail2ban-report/server/settings'
  })
  const installed = '/usr/lib/node_modules/fail2ban-report/'
  t.strictSame(usualFolders(installed, 0, { XDG_DATA_HOME: '/x' }, '/root'), {
    archive: '/var/lib/fail2ban-report-server/archive',
    download: '/var/lib/fail2ban-report-server/download',
    temp: '/var/lib/fail2ban-report-server/temp',
    settings: '/var/lib/fail2ban-report-server/settings'
  })
  t.match(
    usualFolders(installed, 1000, {}, '/home/x').archive,
    '/home/x/.local/share/fail2ban-report/archive'
  )
  t.match(
    usualFolders(installed, 1000, { XDG_DATA_HOME: '/x' }, '/home/x').temp,
    /^\/x\/fail2ban-report\/temp$/
  )
  const relative = usualFolders(installed, 1000, { XDG_DATA_HOME: 'x' }, '/home/x').settings
  t.equal(relative, '/home/x/.local/share/fail2ban-report/settings', 'a relative one counts as none')
})
