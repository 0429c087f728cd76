import { counted } from '../../common/counted.js'
import { stat } from 'node:fs/promises'
import { runCommand } from '../../common/command.js'
import { look, type Finding } from '../../common/findings.js'
import type { ServerConfig } from '../config.js'
import { readHtpasswd } from '../store/htpasswd.js'
import { readTlsPair } from '../tls.js'

const DAY_MS = 86_400_000
/** Those who renew certificates by machine have long done so. */
const SOON_MS = 14 * DAY_MS

/** Looks at what stands in front of the dashboard: the password file, certificate and key. */
export async function checkFront(config: ServerConfig): Promise<Finding[]> {
  return [...(await checkPasswordFile(config)), ...(await checkTls(config))]
}

async function checkPasswordFile({ htpasswd, user }: ServerConfig): Promise<Finding[]> {
  if (htpasswd === '') return []
  const mend = `mend what the message names; nobody is let in until then. Users: htpasswd -B ${htpasswd} USER`
  const found = await look('password file', mend, async () => {
    const users = await readHtpasswd(htpasswd)
    return { level: 'ok', what: `the password file ${htpasswd} has ${counted(users.length, 'user')}` }
  })
  return [...found, ...(await closedToOthers('password file', htpasswd)), ...(await forUser(htpasswd, user))]
}

async function checkTls({ tlsCert, tlsKey, user }: ServerConfig): Promise<Finding[]> {
  if (tlsCert === '' && tlsKey === '') return []
  const found = await look(
    'HTTPS',
    'mend what the message names; until then the former certificate is used',
    async () => {
      const { from, until } = await readTlsPair(tlsCert, tlsKey)
      const now = Date.now()
      const what = `the certificate ${tlsCert} is valid from ${day(from)} until ${day(until)}`
      const mend = 'renew it; the server takes it into use by itself'
      if (now < from || now >= until) return { level: 'problem', what, mend }
      return until - now < SOON_MS ? { level: 'warning', what, mend } : { level: 'ok', what }
    }
  )
  for (const path of [tlsCert, tlsKey]) if (path !== '') found.push(...(await forUser(path, user)))
  return [...found, ...(await closedToOthers('private key', tlsKey))]
}

const day = (time: number): string => new Date(time).toISOString().slice(0, 10)

async function closedToOthers(what: string, path: string): Promise<Finding[]> {
  const info = await stat(path).catch(() => undefined)
  if (info === undefined || (info.mode & 0o007) === 0) return []
  return [{ level: 'problem', what: `others can read the ${what} ${path}`, mend: `chmod o-rwx ${path}` }]
}

/** Root can read everything: whether the server can as well, its user is asked. */
async function forUser(path: string, user: string): Promise<Finding[]> {
  if (!(await mayNot(user, ['-r', path]))) return []
  const mend = `let ${user} read the file and enter its folders, such as: install -o ${user} -m 0400 ${path} ELSEWHERE`
  return [{ level: 'problem', what: `${user}, the user that the server runs as, can't read ${path}`, mend }]
}

/** Whether `test` says no to a user of this machine; false also where only root could ask. @param words of `test` */
export async function mayNot(user: string, words: readonly string[]): Promise<boolean> {
  if (process.getuid?.() !== 0 || user === '') return false
  const tried = await runCommand('runuser', ['-u', user, '--', 'test', ...words]).catch(() => undefined)
  return tried?.code === 1
}
