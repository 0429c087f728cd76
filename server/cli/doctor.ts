import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { corruptCopies, namesIn } from '../../common/json-file.js'
import { look, type Finding } from '../../common/findings.js'
import { isListName } from '../../common/names.js'
import { KINDS } from '../store/kinds.js'
import type { Folders } from '../store/folders.js'
import type { Store } from '../store/store.js'
import { openStore, type Terminal } from './context.js'

const STALE_LOCK_MS = 60_000
const QUIET_HOST_MS = 15 * 60_000

/** Looks the server's side over: folders, modes, files, locks, users, hosts. Changes nothing but sets corrupt data aside. */
export async function checkServer(flags: Record<string, unknown>, terminal: Terminal): Promise<Finding[]> {
  const { store, folders } = openStore(flags, terminal)
  const present = await stat(folders.settings).then(
    () => true,
    () => false
  )
  if (!present) {
    return [
      {
        level: 'warning',
        what: `no server here: ${folders.settings} does not exist`,
        mend: 'start one with "fail2ban-report serve", or name its folders with --settings and --archive'
      }
    ]
  }
  return [
    ...(await checkFolders(store, folders)),
    ...(await checkSettings(store)),
    ...(await checkArchive(store, folders)),
    ...(await checkHosts(store))
  ]
}

async function checkFolders(store: Store, folders: Folders): Promise<Finding[]> {
  const found = await look('folders', 'give the server’s user the folders: chown -R', async () => {
    await store.checkFolders()
    return { level: 'ok', what: 'archive, download, temp and settings can be read and written' }
  })
  for (const [name, path] of Object.entries<string>({ ...folders })) {
    const info = await stat(path).catch(() => undefined)
    if (info === undefined) continue
    const loose = name === 'settings' || name === 'temp' ? 0o077 : 0o007
    if ((info.mode & loose) === 0) continue
    const mode = name === 'settings' || name === 'temp' ? '700' : '750'
    found.push({
      level: 'problem',
      what: `${name} folder ${path} is open to others`,
      mend: `chmod ${mode} ${path}`
    })
  }
  return found
}

async function checkSettings(store: Store): Promise<Finding[]> {
  const found: Finding[] = []
  for (const [what, path] of [
    ['client list', store.paths.clientList()],
    ['user list', store.paths.userList()],
    ['session key', store.paths.sessionKey()]
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
        ? { level: 'ok', what: `${clients.length} host(s) may sync` }
        : { level: 'warning', what: 'no host may sync', mend: 'fail2ban-report client add HOST' }
    })),
    ...(await look('user list', 'mend the file by hand; it was left as it is', async () => {
      const users = await store.users.list()
      return users.some(user => user.role === 'admin')
        ? { level: 'ok', what: `${users.length} user(s), an admin among them` }
        : {
            level: 'warning',
            what: 'no admin can log in',
            mend: 'fail2ban-report user add NAME --role admin'
          }
    }))
  )
  return found
}

async function checkArchive(store: Store, folders: Folders): Promise<Finding[]> {
  const found: Finding[] = []
  const { paths } = store
  const servers = await store.hosts.names()
  let files = 0
  for (const server of servers) {
    for (const list of await store.lists.names(server)) {
      files++
      found.push(
        ...(await look(`${server}/${list}`, 'see the message', async () => {
          await store.files.read(paths.list(server, list), KINDS.blocklist)
          return []
        }))
      )
    }
  }
  const all = [
    folders.archive,
    folders.settings,
    ...servers.flatMap(name => [paths.server(name), paths.lists(name), paths.days(name)])
  ]
  for (const folder of all) {
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
  }
  if (!found.some(item => item.level === 'problem'))
    found.push({ level: 'ok', what: `${files} blocklist(s) are whole` })
  return found
}

async function checkHosts(store: Store): Promise<Finding[]> {
  const found: Finding[] = []
  for (const server of await store.hosts.names()) {
    const { lastSeen, clockSkewMs } = await store.hosts.read(server)
    if (lastSeen === undefined || Date.now() - Date.parse(lastSeen) > QUIET_HOST_MS) {
      found.push({
        level: 'warning',
        what: `${server} has not asked since ${lastSeen ?? 'ever'}`,
        mend: `run "fail2ban-report doctor --side client" on ${server}`
      })
    } else found.push({ level: 'ok', what: `${server} asked last at ${lastSeen}` })
    if (clockSkewMs !== undefined && Math.abs(clockSkewMs) > 60_000) {
      found.push({
        level: 'warning',
        what: `${server}'s clock differs by ${Math.round(clockSkewMs / 1000)} s`,
        mend: 'let both machines keep time by NTP'
      })
    }
    const waiting = (await store.updates.of(server)).size
    const names = (await store.lists.names(server)).filter(isListName).length
    if (waiting > 0)
      found.push({ level: 'ok', what: `${waiting} of ${names} list(s) of ${server} wait for it` })
  }
  return found
}
