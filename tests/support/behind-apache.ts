import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { Agent } from 'undici'
import { startApache, type Apache } from './apache.js'
import { USERS } from './app.js'
import { makeCertificate } from './certificates.js'
import { Installation } from './installation.js'
import { ownFolder } from './own-folder.js'

/** The set-ups that are shipped in server/deploy/apache/. */
export const SET_UPS = ['site snippet', 'drop-in folder'] as const
export type SetUp = (typeof SET_UPS)[number]

/** The shipped files. */
export const SNIPPET = 'server/deploy/apache/fail2ban-report.conf'
export const DROP_IN = 'server/deploy/apache/drop-in/.htaccess'
/** What the set-ups say an operator has to switch on, and what they may have. */
const MODULES = {
  'site snippet': ['proxy', 'proxy_http', 'headers'],
  'drop-in folder': ['proxy', 'proxy_http', 'headers', 'rewrite']
}

/** A server behind a real Apache with TLS, in one of the shipped set-ups. */
export interface BehindApache {
  at: Installation
  apache: Apache
  /** https://localhost:…/Fail2Ban-Report */
  url: string
  /** The same site without TLS. */
  plainUrl: string
  /** The server itself, past Apache. */
  backend: string
  /** PEM file of the authority of the site's certificate. */
  ca: string
  /** Makes requests that trust that authority. */
  agent: Agent
  /** Starts the server again on its port. */
  serveAgain(): Promise<void>
}

/**
 * A server with the users alice and victor, and Apache before it as the set-up's file says.
 * @param edit what the operator changes in that file @param modules beyond those the set-up needs
 */
export async function behindApache(
  t: Test,
  setUp: SetUp,
  edit: (file: string) => string = file => file,
  modules: readonly string[] = []
): Promise<BehindApache> {
  const at = new Installation(ownFolder(t))
  t.teardown(() => at.stop())
  await mkdir(at.path('settings'))
  await writeFile(at.path('settings', 'users.json'), JSON.stringify(USERS))
  const flags = ['--base-path', '/Fail2Ban-Report', '--trust-proxy', '127.0.0.1']
  await at.serve(undefined, ...flags)
  const backend = at.url
  const { port } = new URL(backend)
  const edited = async (file: string) => edit((await readFile(file, 'utf8')).replaceAll('8080', port))
  const site = at.path('html')
  await mkdir(join(site, 'Fail2Ban-Report'), { recursive: true })
  await writeFile(join(site, 'index.html'), 'another page of this site')
  await writeFile(at.path('fail2ban-report.conf'), await edited(SNIPPET))
  if (setUp === 'drop-in folder')
    await writeFile(join(site, 'Fail2Ban-Report', '.htaccess'), await edited(DROP_IN))
  await mkdir(at.path('tls'))
  const tls = makeCertificate(at.path('tls'), 'site')
  const include = setUp === 'site snippet' ? [`Include ${at.path('fail2ban-report.conf')}`] : []
  const apache = await startApache(t, ['ssl', ...MODULES[setUp], ...modules], ({ port, second }) => [
    `DocumentRoot ${site}`,
    `<Directory ${site}>`,
    ...[`AllowOverride ${setUp === 'site snippet' ? 'None' : 'FileInfo'}`, 'Options FollowSymLinks'],
    ...['Require all granted', '</Directory>'],
    `<VirtualHost 127.0.0.1:${port}>`,
    ...['SSLEngine on', `SSLCertificateFile ${tls.cert}`, `SSLCertificateKeyFile ${tls.key}`],
    ...[...include, '</VirtualHost>', `<VirtualHost 127.0.0.1:${second}>`, ...include, '</VirtualHost>']
  ])
  const agent = new Agent({ connect: { ca: await readFile(tls.ca, 'utf8') } })
  t.teardown(() => agent.destroy())
  // What follows reaches the server by Apache only, where it does not ask for the backend.
  at.url = `https://localhost:${apache.port}/Fail2Ban-Report`
  return {
    at,
    apache,
    url: at.url,
    plainUrl: `http://localhost:${apache.second}/Fail2Ban-Report`,
    backend,
    ca: tls.ca,
    agent,
    serveAgain: async () => {
      const { url } = at
      await at.serve(undefined, ...flags, '--port', port)
      at.url = url
    }
  }
}
