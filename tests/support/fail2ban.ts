import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { logged } from './logged.js'
import type { Namespace } from './netns.js'

/** A real fail2ban of a test's own: settings, socket and log lie in its folder, its firewall in a namespace. */
export interface RealFail2ban {
  config: string
  log: string
  /** Runs `fail2ban-client` against it. */
  client(...words: string[]): Promise<string>
  /** Failed logins from an address, as many as ban it. */
  failedLogins(ip: string): Promise<void>
  /** Resolves when the log holds the pattern. */
  logged(pattern: RegExp): Promise<void>
  stop(): Promise<void>
}

/**
 * Starts fail2ban with the package's settings and a `jail.local`. A jail `sshd` reads `auth.log` of the folder.
 * @param dir a folder with a short path: a socket's path has 107 bytes at most
 * @param jails text of jail.local; `[sshd]` is added to it
 */
export async function startFail2ban(host: Namespace, dir: string, jails: string): Promise<RealFail2ban> {
  const [config, log, auth] = [join(dir, 'conf'), join(dir, 'fail2ban.log'), join(dir, 'auth.log')]
  await writeFile(auth, '')
  await host.exec('cp', '-r', '/etc/fail2ban', config)
  await host.exec('rm', '-rf', join(config, 'jail.d'))
  const text = `${jails}\n[sshd]\nenabled = true\nbackend = polling\nport = 2222\nlogpath = ${auth}\n`
  await writeFile(join(config, 'jail.local'), text)
  const common = ['-c', config, '-s', join(dir, 's'), '-p', join(dir, 'p')]
  // As settings, not as flags: a reload reads them again.
  const own = `[Definition]\nlogtarget = ${log}\nsocket = ${join(dir, 's')}\ndbfile = None\n`
  await writeFile(join(config, 'fail2ban.local'), own)
  const [program, ...rest] = host.prefix
  const server = spawn(program, [...rest, 'fail2ban-server', ...common, '-f', 'start'], { stdio: 'ignore' })
  const at: RealFail2ban = {
    config,
    log,
    client: (...words) => host.exec('fail2ban-client', ...common, ...words),
    failedLogins: async ip => {
      const stamp = new Date()
        .toString()
        .slice(4, 24)
        .replace(/ \d{4} /, ' ')
      const line = `${stamp} web-1 sshd[4242]: Failed password for root from ${ip} port 4022 ssh2\n`
      await appendFile(auth, line.repeat(4))
    },
    logged: pattern => logged(dirname(log), log, pattern),
    stop: async () => {
      if (server.exitCode !== null || server.signalCode !== null) return
      const ended = once(server, 'exit')
      server.kill('SIGKILL')
      await ended
    }
  }
  await at.logged(/Jail 'sshd' started/)
  return at
}
