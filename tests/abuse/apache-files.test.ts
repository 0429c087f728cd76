import { chmod, copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { Agent } from 'undici'
import { NO_APACHE, startApache } from '../support/apache.js'
import { DROP_IN, SNIPPET } from '../support/behind-apache.js'
import { execute, Installation } from '../support/installation.js'
import { ownFolder } from '../support/own-folder.js'

const skip = NO_APACHE
const KEPT = ['.gitignore', '.htaccess', '.npmrc', 'LICENSE', 'README.md', 'package.json']

/** Ways to ask for a file that might get round a rule about its path. */
const tricks = (path: string): string[] => [
  `/${path}`,
  `//${path}`,
  `/./${path}`,
  `/public/../${path}`,
  `/%2e/${path}`,
  `/public/%2e%2e/${path}`,
  `/${path.replace('/', '//')}`,
  `/${path.replace('/', '%2f')}`,
  `/${path.replace('/', '%5c')}`,
  `/${path.replace(/\w/, first => `%${first.charCodeAt(0).toString(16)}`)}`,
  `/${path.replace(/\w/, first => `%25${first.charCodeAt(0).toString(16)}`)}`,
  `/${path.toUpperCase()}`,
  ...['.', '/', '/x', '/.', '/index.html', '?x', ';x', '%00', '%20', '~', '.bak', '%3fx'].map(
    end => `/${path}${end}`
  ),
  `/.htaccess/../${path}`
]

/**
 * The program's folder with its data in it, as someone has it who put it into a web server's reach and opened all of
 * it to everybody.
 * @param denials whether it has its .htaccess files @returns paths of all files below it
 */
async function checkout(
  t: Test,
  denials: boolean
): Promise<{ dir: string; at: Installation; files: string[] }> {
  const listed = await execute([
    'git',
    'ls-files',
    '-z',
    ...KEPT,
    'archive',
    'download',
    'temp',
    'server/cli'
  ])
  const dir = join(ownFolder(t, { checkout: {} }), 'checkout')
  for (const file of listed.out.split('\0').filter(Boolean)) {
    await mkdir(join(dir, file, '..'), { recursive: true })
    await copyFile(file, join(dir, file))
  }
  for (const file of ['.git/config', '.env', 'node_modules/x/package.json', 'dist/client/bin.js']) {
    await mkdir(join(dir, file, '..'), { recursive: true })
    await writeFile(join(dir, file), 'no business of a stranger')
  }
  const at = new Installation(dir)
  t.teardown(() => at.stop())
  const folders = ['--archive', at.path('archive'), '--settings', at.path('server', 'settings')]
  // The server's own folders, with what it writes.
  await at.serve(undefined, '--settings', at.path('server', 'settings'), '--base-path', '/Fail2Ban-Report')
  await at.cli(['client', 'add', 'web-1', ...folders])
  await at.cli(['block', '203.0.113.1', '--server', 'web-1', '--jail', 'sshd', ...folders])
  await mkdir(at.path('download', 'web-1', 'blocklists'), { recursive: true })
  await writeFile(at.path('download', 'web-1', 'blocklists', 'sshd.blocklist.json'), '[]')
  await mkdir(at.path('temp', 'web-1'))
  await writeFile(at.path('temp', 'web-1', 'upload.json'), '[]')
  const files: string[] = []
  for (const item of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(item.parentPath, item.name)
    await chmod(path, item.isDirectory() ? 0o755 : 0o644)
    if (!item.isFile()) continue
    if (item.name === '.htaccess' && !denials) await writeFile(path, '# nothing')
    files.push(relative(dir, path))
  }
  return { dir, at, files }
}

/** An Apache whose DocumentRoot is that folder. @returns asks it for a path as it is, and gives status and body */
async function apacheOn(t: Test, dir: string, override: string, more: string[] = [], modules: string[] = []) {
  const apache = await startApache(t, modules, () => [
    `DocumentRoot ${dir}`,
    `<Directory ${dir}>`,
    ...[`AllowOverride ${override}`, 'Options Indexes FollowSymLinks', 'Require all granted', '</Directory>'],
    ...more
  ])
  const agent = new Agent()
  t.teardown(() => agent.destroy())
  return async (path: string) => {
    const origin = `http://127.0.0.1:${apache.port}`
    const { statusCode: status, body } = await agent.request({ origin, path, method: 'GET' })
    return { status, text: await body.text() }
  }
}

type Ask = Awaited<ReturnType<typeof apacheOn>>

/** Every file, and every trick with one file of each folder. */
async function refusesAll(t: Test, ask: Ask, files: readonly string[], refusals: number[]): Promise<void> {
  const seen = new Map<string, number>()
  const folders = new Set<string>()
  for (const file of files) {
    seen.set(`/${file}`, (await ask(`/${file}`)).status)
    const folder = join(file, '..')
    if (folders.has(folder)) continue
    folders.add(folder)
    for (const path of [...tricks(file), join('/', folder, '/')]) seen.set(path, (await ask(path)).status)
  }
  const answered = [...seen].filter(([, status]) => !refusals.includes(status))
  t.strictSame(answered, [], `${seen.size} paths are refused`)
}

const SECRETS = [
  'archive/update.json',
  'archive/audit.jsonl',
  'archive/web-1/blocklists/sshd.blocklist.json',
  'download/web-1/blocklists/sshd.blocklist.json',
  'temp/web-1/upload.json',
  'server/settings/client-list.json',
  '.git/config',
  '.env'
]

t.test('what the following tests refuse would be handed out without what they test', { skip }, async t => {
  const { dir, files } = await checkout(t, false)
  const ask = await apacheOn(t, dir, 'All')
  for (const file of SECRETS) {
    t.ok(files.includes(file), file)
    t.equal((await ask(`/${file}`)).status, 200, file)
  }
})

t.test('the program’s folder as DocumentRoot: its .htaccess files deny every file', { skip }, async t => {
  const { dir, files } = await checkout(t, true)
  const denied = ['', 'archive', 'download', 'temp', 'server/settings'].map(path => join(path, '.htaccess'))
  for (const file of denied) t.ok(files.includes(file), file)
  await refusesAll(t, await apacheOn(t, dir, 'All'), files, [400, 403, 404])
  // What an .htaccess may not say stops everything.
  await refusesAll(t, await apacheOn(t, dir, 'FileInfo'), files, [400, 403, 404, 500])

  // Each folder of data denies by itself, also where the one above grants.
  await writeFile(join(dir, '.htaccess'), 'Require all granted')
  const data = files.filter(file => /^(archive|download|temp|server\/settings)\//.test(file))
  t.ok(data.length > 8)
  await refusesAll(t, await apacheOn(t, dir, 'All'), data, [400, 403, 404])
})

t.test('the site snippet denies every file where an .htaccess counts for nothing', { skip }, async t => {
  const { dir, files } = await checkout(t, false)
  const snippet = (await readFile(SNIPPET, 'utf8')).replace('/opt/fail2ban-report|', `${dir}|`)
  t.match(snippet, dir)
  const file = join(dir, '..', 'fail2ban-report.conf')
  await writeFile(file, snippet)
  const modules = ['proxy', 'proxy_http', 'headers']
  for (const override of ['None', 'All']) {
    const ask = await apacheOn(t, dir, override, [`Include ${file}`], modules)
    await refusesAll(t, ask, files, [400, 403, 404])
  }

  // Nor does it where it grants, nor another section, such as one of the site's that comes later.
  const granted = 'Require all granted'
  const folders = [...new Set(files.map(path => join(path, '..')))]
  for (const says of [granted, `<Files "*">\n${granted}\n</Files>`, `<If "true">\n${granted}\n</If>`]) {
    for (const folder of folders) await writeFile(join(dir, folder, '.htaccess'), says)
    await refusesAll(t, await apacheOn(t, dir, 'All', [`Include ${file}`], modules), files, [400, 403, 404])
  }
  for (const section of [`Directory ${dir}`, 'Location "/"', 'Files "*"']) {
    const later = [`<${section}>`, granted, `</${section.split(' ')[0]}>`]
    const ask = await apacheOn(t, dir, 'All', [`Include ${file}`, ...later], modules)
    await refusesAll(t, ask, files, [400, 403, 404])
  }
})

t.test(
  'the drop-in .htaccess in the program’s folder: every file is refused by it or the server',
  { skip },
  async t => {
    const { dir, at, files } = await checkout(t, false)
    const { port } = new URL(at.url)
    const dropIn = (await readFile(DROP_IN, 'utf8'))
      .replaceAll('8080', port)
      // The test's Apache has no TLS.
      .replace('RewriteCond %{HTTPS} !=on\nRewriteRule ^ - [F]\n', '')
    await writeFile(join(dir, '.htaccess'), dropIn)
    const modules = ['proxy', 'proxy_http', 'headers', 'rewrite', 'alias']
    const ask = await apacheOn(t, dir, 'FileInfo', [`Alias /Fail2Ban-Report ${dir}`], modules)
    t.match(
      await ask('/Fail2Ban-Report/healthz'),
      { status: 200, text: '{"status":"ok"}' },
      'the server answers'
    )
    const below: Ask = async path =>
      // The folder itself is the dashboard.
      path === '/' ? { status: 404, text: '' } : ask(`/Fail2Ban-Report${path}`)
    await refusesAll(t, below, files, [400, 403, 404])
  }
)
