import { counted } from '../../common/counted.js'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { timeOf } from '../../common/clock.js'
import { look, type Finding } from '../../common/findings.js'
import { corruptCopies, namesIn, type JsonKind } from '../../common/json-file.js'
import { isEventsFileName, printable, type ServerName } from '../../common/names.js'
import { ownCommand } from '../../common/own-command.js'
import { KINDS } from '../store/kinds.js'
import { OPEN, type Folders } from '../store/folders.js'
import type { Store } from '../store/store.js'
import { readServerConfig } from '../config.js'
import { checkAnswers } from './doctor-answers.js'
import { checkFront, mayNot } from './doctor-front.js'
import { openStore, type Terminal } from './context.js'

const STALE_LOCK_MS = 60_000
const QUIET_HOST_MS = 15 * 60_000
const SKEW_MS = 60_000
/** Where web servers look for files, as distributions set them up. */
const WEB_ROOTS = /^\/(var\/www|srv\/(www|http)|usr\/share\/nginx)\//
const MEND_FOLDERS = 'make the folders that are missing, and give them to the server’s user: chown -R'

/** Looks the server's side over: folders, modes, files, locks, users, hosts. Changes nothing but sets corrupt data aside. */
export async function checkServer(flags: Record<string, unknown>, terminal: Terminal): Promise<Finding[]> {
  // The client's side follows in the same process, and needs root.
  const { store, folders } = openStore(flags, terminal, { asOwner: false })
  const present = await stat(folders.settings).then(
    () => true,
    () => false
  )
  if (!present) {
    return [
      {
        level: flags.side === 'server' ? 'problem' : 'warning',
        what: `no server here: ${folders.settings} does not exist`,
        mend: 'start one with "fail2ban-report serve", or name its folders with --settings and --archive'
      }
    ]
  }
  const config = readServerConfig({ flags: {}, env: terminal.env })
  return [
    ...(await checkFolders(store, folders, config.user)),
    ...(await checkAnswers(config, terminal.env)),
    ...(await checkSettings(store)),
    ...(await checkFront(config)),
    ...(await checkArchive(store, folders)),
    ...(await checkHosts(store))
  ]
}

async function checkFolders(store: Store, folders: Folders, user: string): Promise<Finding[]> {
  const found = await look('folders', MEND_FOLDERS, async () => {
    await store.checkFolders()
    const closed = await closedToServer(folders, user)
    if (closed.length > 0) return closed
    return { level: 'ok', what: 'archive, download, temp and settings can be read and written' }
  })
  for (const name of ['archive', 'download', 'temp', 'settings'] as const) {
    const path = folders[name]
    if (WEB_ROOTS.test(path)) {
      found.push({
        level: 'warning',
        what: `${name} folder ${path} lies where web servers look for files; an .htaccess in it counts only as far as Apache's AllowOverride lets it, which can't be seen from here`,
        mend: 'deny it in the site itself (server/README.md, "Behind Apache"), then ask for a file of it by URL: 403 or 404 must come'
      })
    }
    const info = await stat(path).catch(() => undefined)
    if (info === undefined || (info.mode & OPEN[name]) === 0) continue
    found.push({
      level: 'problem',
      what: `${name} folder ${path} is open to others`,
      mend: `chmod ${OPEN[name] === 0o077 ? 'go' : 'o'}-rwx ${path}`
    })
  }
  return found
}

/** Root can use every folder: whether the server can as well, its user is asked. */
async function closedToServer(folders: Folders, user: string): Promise<Finding[]> {
  const found: Finding[] = []
  for (const [name, path] of Object.entries<string>({ ...folders })) {
    if (!(await mayNot(user, ['-r', path, '-a', '-w', path, '-a', '-x', path]))) continue
    found.push({
      level: 'problem',
      what: `${user}, the user that the server runs as, can't read and write the ${name} folder ${path}`,
      mend: `chown -R ${user}: ${path} && chmod u+rwx ${path}, and let ${user} enter the folders above it`
    })
  }
  return found
}

async function checkSettings(store: Store): Promise<Finding[]> {
  const found: Finding[] = []
  for (const [what, path] of [
    ['client list', store.paths.clientList()],
    ['user list', store.paths.userList()],
    ['session key', store.paths.sessionKey()],
    ['list of API keys', store.paths.apiKeys()]
  ] as const) {
    const info = await stat(path).catch(() => undefined)
    if (info !== undefined && (info.mode & 0o077) !== 0) {
      found.push({ level: 'problem', what: `others can read the ${what} ${path}`, mend: `chmod 600 ${path}` })
    }
  }
  found.push(
    ...(await look('client list', 'mend the file by hand; it was left as it is', async () => {
      const { clients } = await store.clients.list()
      return clients.length > 0
        ? { level: 'ok', what: `${counted(clients.length, 'host')} may sync` }
        : {
            level: 'warning',
            what: 'no host may sync',
            mend: `${ownCommand()} client add HOST --server-url https://YOUR-SERVER`
          }
    })),
    ...(await look('user list', 'mend the file by hand; it was left as it is', async () => {
      const users = await store.users.list()
      return users.some(user => user.role === 'admin')
        ? { level: 'ok', what: `${counted(users.length, 'user')}, an admin among them` }
        : {
            level: 'warning',
            what: 'no admin can log in',
            mend: `${ownCommand()} user add NAME --role admin`
          }
    }))
  )
  return found
}

/** Reads every data file there is, then looks for what is or was in the way. */
async function checkArchive(store: Store, folders: Folders): Promise<Finding[]> {
  const { paths } = store
  const servers = await store.hosts.names()
  const found = await checkFile(store, paths.updateIndex(), KINDS.updateIndex)
  found.push(...(await checkFile(store, paths.whitelist(), KINDS.whitelist)))
  found.push(...(await checkFile(store, paths.sessionKey(), KINDS.sessionKey)))
  found.push(...(await checkFile(store, paths.apiKeys(), KINDS.apiKeys)))
  found.push(...(await checkFile(store, paths.endedSessions(), KINDS.endedSessions)))
  for (const server of servers) {
    found.push(...(await checkFile(store, paths.host(server), KINDS.host)))
    found.push(...(await checkFile(store, paths.handOvers(server), KINDS.handOvers)))
    found.push(...(await checkFile(store, paths.gone(server), KINDS.gone)))
    found.push(...(await checkFile(store, paths.sums(server), KINDS.sums)))
    found.push(...(await checkFile(store, paths.commands(server), KINDS.commands)))
    for (const list of await store.lists.names(server)) {
      found.push(...(await checkFile(store, paths.list(server, list), KINDS.blocklist)))
    }
    for (const day of (await namesIn(paths.days(server))).filter(isEventsFileName)) {
      found.push(...(await checkFile(store, paths.day(server, day), KINDS.events)))
    }
  }
  const all = [
    folders.archive,
    folders.settings,
    ...servers.flatMap(name => [paths.server(name), paths.lists(name), paths.days(name)])
  ]
  for (const folder of all) {
    found.push(...(await look(folder, MEND_FOLDERS, () => checkLeftovers(folder))))
  }
  if (!found.some(item => item.level === 'problem')) {
    found.push({ level: 'ok', what: 'the data files are whole' })
  }
  return found
}

async function checkFile(store: Store, path: string, kind: JsonKind<unknown>): Promise<Finding[]> {
  return look(path, `mend the file by hand, or delete it: ${path}`, async () => {
    await store.files.read(path, kind)
    return []
  })
}

async function checkLeftovers(folder: string): Promise<Finding[]> {
  const found: Finding[] = []
  for (const copy of await corruptCopies(folder)) {
    found.push({
      level: 'problem',
      what: `a corrupt file was set aside: ${join(folder, copy)}`,
      mend: 'mend it and put it back under its own name while the server is stopped, or delete it'
    })
  }
  for (const name of (await namesIn(folder)).filter(item => item.endsWith('.lock'))) {
    const info = await stat(join(folder, name)).catch(() => undefined)
    if (info === undefined || Date.now() - info.mtimeMs < STALE_LOCK_MS) continue
    found.push({
      level: 'warning',
      what: `an abandoned lock: ${join(folder, name)}`,
      mend: 'none needed: the next writer takes it over; rmdir removes it'
    })
  }
  return found
}

async function checkHosts(store: Store): Promise<Finding[]> {
  const found: Finding[] = []
  for (const server of await store.hosts.names()) {
    found.push(...(await look(server, 'mend what the message names', () => checkHost(store, server))))
  }
  return found
}

async function checkHost(store: Store, server: ServerName): Promise<Finding[]> {
  const found: Finding[] = []
  const { lastSeen, clockSkewMs, whitelist } = await store.hosts.read(server)
  if (lastSeen === undefined || !(Date.now() - timeOf(lastSeen) <= QUIET_HOST_MS)) {
    found.push({
      level: 'warning',
      what:
        lastSeen === undefined ? `${server} has never asked` : `${server} has not asked since ${lastSeen}`,
      mend: `run "fail2ban-report doctor --side client" on ${server}`
    })
  } else found.push({ level: 'ok', what: `${server} asked last at ${lastSeen}, or in the minute after` })
  if (clockSkewMs !== undefined && Math.abs(clockSkewMs) > SKEW_MS) {
    found.push({
      level: 'warning',
      what: `${server}'s clock differs by ${Math.round(clockSkewMs / 1000)} s`,
      mend: 'let both machines keep time by NTP'
    })
  }
  if (whitelist?.result === 'fail') {
    found.push({
      level: 'warning',
      what: `${server} could not sync its whitelist: ${printable(whitelist.message ?? 'it does not say why', 300)}`,
      mend: `run "fail2ban-report whitelist-sync" on ${server}`
    })
  }
  // One that was set aside waits too, for its host to bring it back.
  const waiting = [...(await store.updates.of(server)).keys()]
  const all = new Set([...(await store.lists.names(server)), ...waiting]).size
  if (waiting.length > 0) {
    const what = `of ${counted(all, 'list')} of ${server}, ${waiting.length} to be fetched`
    found.push({ level: 'ok', what })
  }
  return found
}
