import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hashSync } from '@node-rs/bcrypt'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import pino from 'pino'
import type { Test } from 'tap'
import { buildApp, type AppDependencies } from '../../server/app.js'
import type { ServerConfig } from '../../server/config.js'
import type { BlocklistEntry, ClientEntry, UserEntry } from '../../common/shapes.js'
import { NOTHING_IN_FRONT } from './in-front.js'
import { ownFolder } from './own-folder.js'

/** Passwords of the users every test app has; bcrypt's cheapest cost, as tests log in often. */
export const PASSWORDS = { alice: 'alice has a password', victor: 'victor has one too' } as const
const HASHES = {
  alice: hashSync(PASSWORDS.alice, 4).replace('$2b$', '$2y$'),
  victor: hashSync(PASSWORDS.victor, 4).replace('$2b$', '$2y$')
}

/** Who is logged in, as headers for `inject`. */
export interface LoggedIn {
  cookie: string
  csrf: string
  /** Cookie and CSRF token. */
  headers: Record<string, string>
}

/** An app on fresh folders, with the admin `alice`, the viewer `victor` and the hosts `web-1` and `db-1`. */
export interface TestApp {
  app: FastifyInstance
  /** Every log line, as the real logger wrote it. */
  lines: string[]
  clock: { now: number }
  path(...parts: string[]): string
  login(user?: keyof typeof PASSWORDS, options?: InjectOptions): Promise<LoggedIn>
  get(url: string, as?: LoggedIn, headers?: Record<string, string>): Promise<LightMyRequestResponse>
  post(
    url: string,
    body: unknown,
    as?: LoggedIn,
    headers?: Record<string, string>
  ): Promise<LightMyRequestResponse>
  writeUsers(users: UserEntry[]): Promise<void>
  /** Writes a list as an existing installation has it. */
  writeList(server: string, jail: string, entries: BlocklistEntry[]): Promise<void>
  readList(server: string, jail: string): Promise<BlocklistEntry[]>
  /** Every data file and its bytes: what must not change when a request is refused. */
  bytes(): Promise<Record<string, string>>
}

/** The users every test app begins with. */
export const USERS: UserEntry[] = [
  { username: 'alice', password: HASHES.alice, role: 'admin' },
  { username: 'victor', password: HASHES.victor, role: 'viewer' }
]

/**
 * Builds the app in the test's own folder and closes it with the test.
 * @param reportConfig the text of fail2ban-report.config
 */
export async function testApp(
  t: Test,
  more: Partial<ServerConfig> = {},
  { reportConfig = '', ...parts }: Partial<AppDependencies> & { reportConfig?: string } = {}
): Promise<TestApp> {
  const settings = reportConfig === '' ? {} : { 'fail2ban-report.config': reportConfig }
  const dir = ownFolder(t, { archive: {}, download: {}, temp: {}, settings })
  const path = (...parts: string[]) => join(dir, ...parts)
  const clock = { now: Date.parse('2026-03-01T12:00:00Z') }
  const lines: string[] = []
  const options = { level: 'info', base: null, timestamp: pino.stdTimeFunctions.isoTime }
  const logger = pino(options, { write: (line: string) => void lines.push(line) })
  const writeUsers = (users: UserEntry[]) => writeFile(path('settings', 'users.json'), JSON.stringify(users))
  await writeUsers(USERS)
  const clients: ClientEntry[] = ['web-1', 'db-1'].map(username => ({
    username,
    password: 'x',
    uuid: username
  }))
  await writeFile(path('settings', 'client-list.json'), JSON.stringify(clients))
  const app = await buildApp(configOf(path, more), {
    logger,
    clock: () => clock.now,
    publicFolder: fileURLToPath(new URL('../../public/', import.meta.url)),
    ...parts
  })
  t.teardown(() => app.close())
  const get: TestApp['get'] = (url, as, headers = {}) =>
    app.inject({ url, headers: { ...as?.headers, ...headers } })
  const post: TestApp['post'] = (url, body, as, headers = {}) =>
    app.inject({ method: 'POST', url, payload: body as object, headers: { ...as?.headers, ...headers } })
  const login: TestApp['login'] = async (user = 'alice', more = {}) => {
    const payload = { username: user, password: PASSWORDS[user] }
    const reply = await app.inject({ method: 'POST', url: '/api/login', payload, ...more })
    if (reply.statusCode !== 200) throw new Error(`log-in: ${reply.statusCode} ${reply.body}`)
    return loggedIn(reply)
  }
  return {
    app,
    lines,
    clock,
    path,
    login,
    get,
    post,
    writeUsers,
    writeList: async (server, jail, entries) => {
      await mkdir(path('archive', server, 'blocklists'), { recursive: true })
      await writeFile(listPath(path, server, jail), JSON.stringify(entries))
    },
    readList: async (server, jail) =>
      JSON.parse(await readFile(listPath(path, server, jail), 'utf8')) as BlocklistEntry[],
    bytes: () => bytesBelow(path('archive'))
  }
}

/** Cookie and token of a reply to a log-in. */
export function loggedIn(reply: LightMyRequestResponse): LoggedIn {
  const { csrf } = reply.json<{ csrf: string }>()
  const cookie = cookieOf(reply) ?? ''
  return { cookie, csrf, headers: { cookie, 'x-csrf-token': csrf } }
}

/** The cookie a reply sets, as a browser would send it back. */
export function cookieOf(reply: LightMyRequestResponse): string | undefined {
  const [set] = [reply.headers['set-cookie']].flat()
  return set?.split(';', 1)[0]
}

function configOf(path: (...parts: string[]) => string, more: Partial<ServerConfig>): ServerConfig {
  return {
    host: '127.0.0.1',
    port: 0,
    basePath: '/',
    folders: {
      archive: path('archive'),
      download: path('download'),
      temp: path('temp'),
      settings: path('settings')
    },
    trustProxy: [],
    syncback: 'merge',
    sessionBinding: 'agent',
    widest: { 4: 8, 6: 19 },
    uploadBytes: 1024 * 1024,
    abuseipdbUrl: 'http://127.0.0.1:9/',
    ipinfoUrl: 'http://127.0.0.1:9/',
    geoip: '',
    logLevel: 'info',
    logFile: '',
    user: '',
    ...NOTHING_IN_FRONT,
    ...more
  }
}

function listPath(path: (...parts: string[]) => string, server: string, jail: string): string {
  return path('archive', server, 'blocklists', `${jail}.blocklist.json`)
}

async function bytesBelow(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const item of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!item.isFile()) continue
    const file = join(item.parentPath, item.name)
    found[file.slice(folder.length + 1)] = await readFile(file, 'latin1')
  }
  return found
}
