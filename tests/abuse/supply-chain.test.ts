import { cp, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { execute } from '../support/installation.js'
import { ownFolder } from '../support/own-folder.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

interface Locked {
  version?: string
  resolved?: string
  integrity?: string
  dev?: boolean
  optional?: boolean
  hasInstallScript?: boolean
  license?: string
}
interface Manifest {
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  scripts?: Record<string, string>
}

const readJson = async (...parts: string[]) =>
  JSON.parse(await readFile(join(ROOT, ...parts), 'utf8')) as unknown
const manifest = (await readJson('package.json')) as Manifest
const lock = (await readJson('package-lock.json')) as {
  lockfileVersion: number
  packages: Record<string, Locked>
}
const packages = Object.entries(lock.packages).filter(([path]) => path !== '')
const production = packages.filter(([, one]) => one.dev !== true)

/** Run time packages that exist for one platform only: one of them is installed. */
const forPlatforms = production.filter(([, one]) => one.optional === true)

t.test('every package of the lock file has an integrity hash and comes by HTTPS from a registry', async t => {
  t.equal(lock.lockfileVersion, 3)
  for (const [path, one] of packages) {
    t.match(one.integrity, /^sha512-[A-Za-z0-9+/]{86}==$/, path)
    if (one.resolved !== undefined) t.match(one.resolved, /^https:\/\/[^/]+\/.+\.tgz$/, path)
  }
})

t.test('versions are pinned, and the lock file holds just these', async t => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    t.match(version, /^\d+\.\d+\.\d+$/, name)
    t.equal(lock.packages[`node_modules/${name}`]?.version, version, name)
  }
})

t.test(
  'nothing that runs in production has an install script, and we have none for those who install us',
  async t => {
    const scripts = production.filter(([, one]) => one.hasInstallScript === true).map(([path]) => path)
    t.strictSame(scripts, [])
    for (const name of ['preinstall', 'install', 'postinstall'])
      t.equal(manifest.scripts?.[name], undefined, name)
  }
)

t.test('dependencies are few, as server/README.md says', async t => {
  const direct = Object.keys(manifest.dependencies).length
  const all = production.length - forPlatforms.length
  t.comment(
    `direct ${direct}, all ${all}, and one of ${forPlatforms.length} prebuilt packages for the platform`
  )
  t.ok(direct <= 25, `direct: ${direct}`)
  t.ok(all <= 110, `all: ${all}`)
  const readme = await readFile(join(ROOT, 'server', 'README.md'), 'utf8')
  t.match(readme, `${direct} direct dependencies`, 'the number in the README is the present one')
  t.match(readme, `${all} in all`)
})

t.test('it runs from production packages alone, installed without any script', async t => {
  // What `npm ci --omit=dev --ignore-scripts` lays down: the lock file's run time packages as they are in the
  // registry's tarballs, and nothing else. The copy needs no registry.
  const dir = ownFolder(t)
  await cp(join(ROOT, 'package.json'), join(dir, 'package.json'))
  await cp(join(ROOT, 'dist'), join(dir, 'dist'), {
    recursive: true,
    filter: path => !path.endsWith('dist/tests')
  })
  for (const [path] of production) {
    await mkdir(join(dir, path, '..'), { recursive: true })
    await cp(join(ROOT, path), join(dir, path), { recursive: true, dereference: true }).catch(
      (error: unknown) => {
        // Packages for other platforms are not installed here.
        if (!forPlatforms.some(([one]) => one === path)) throw error
      }
    )
  }
  t.notOk((await readdir(join(dir, 'node_modules'))).includes('typescript'), 'no development package')
  const bin = join(dir, 'dist', 'program', 'bin.js')
  const demo = await execute([process.execPath, bin, 'demo', '--once'])
  t.equal(demo.code, 0, demo.err)
  t.match(demo.out, /203\.0\.113\.66/)
})

t.test('npm audit knows of nothing high or critical, where the registry answers it', async t => {
  const { code, out } = await execute(['npm', 'audit', '--omit=dev', '--json', '--prefix', ROOT])
  const told = safeJson(out) as { metadata?: { vulnerabilities?: Record<string, number> } } | undefined
  const found = told?.metadata?.vulnerabilities
  if (found === undefined)
    return t.comment(`the registry does not answer it (npm audit ended with ${String(code)})`)
  t.equal(found.high, 0)
  t.equal(found.critical, 0)
})

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
