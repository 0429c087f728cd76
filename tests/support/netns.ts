import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { outputOf, runCommand, type RunCommand } from '../../common/command.js'

/**
 * A network namespace with a mount namespace of its own, held open by a process of ours. It has no name in the
 * file system: when the test process ends, however that happens, the kernel takes everything down.
 */
export interface Namespace {
  name: string
  pid: number
  /** Program and arguments to put ahead of a command that is to run inside. */
  prefix: readonly [string, ...string[]]
  /** Runs a program inside; for code that takes a RunCommand. */
  run: RunCommand
  /** Runs a program inside and gives its output. Throws when it fails. */
  exec(program: string, ...args: string[]): Promise<string>
  destroy(): Promise<void>
}

/** Why tests with namespaces cannot run here, or undefined. @param tools programs the test needs beside `ip` */
export function available(...tools: string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  const path = '/usr/sbin:/usr/bin:/sbin:/bin'
  for (const tool of ['ip', 'nsenter', 'unshare', 'python3', ...tools]) {
    const found = spawnSync('which', [tool], { env: { PATH: path } })
    if (found.status !== 0) return `needs ${tool}`
  }
  const tried = spawnSync('unshare', ['-n', '-m', 'true'])
  return tried.status === 0 ? undefined : 'may not make network namespaces'
}

/** Makes a namespace whose loopback is up. @param name for messages and interface names; at most 8 characters */
export async function createNamespace(name: string): Promise<Namespace> {
  const holder = spawn(
    'unshare',
    ['-n', '-m', '--propagation', 'private', 'sh', '-c', 'echo ready; exec cat'],
    {
      stdio: ['pipe', 'pipe', 'inherit']
    }
  )
  const pid = await ready(holder)
  const prefix = ['nsenter', '-t', String(pid), '-m', '-n', '--'] as const
  const run: RunCommand = (program, args, options) =>
    runCommand(prefix[0], [...prefix.slice(1), program, ...args], options)
  const namespace: Namespace = {
    name,
    pid,
    prefix,
    run,
    exec: (program, ...args) => outputOf(run, program, args),
    destroy: () => end(holder)
  }
  await namespace.exec('ip', 'link', 'set', 'lo', 'up')
  return namespace
}

/** Joins two namespaces by a cable. @param left addresses with prefix length for the first end, `right` for the other */
export async function joinByVeth(
  a: Namespace,
  left: readonly string[],
  b: Namespace,
  right: readonly string[]
): Promise<void> {
  const ends = [
    { namespace: a, device: `to-${b.name}`, hardware: '02:00:00:00:00:01', addresses: left },
    { namespace: b, device: `to-${a.name}`, hardware: '02:00:00:00:00:02', addresses: right }
  ] as const
  const [one, two] = ends
  const peer = ['peer', 'name', two.device, 'address', two.hardware, 'netns', String(b.pid)]
  await a.exec('ip', 'link', 'add', one.device, 'address', one.hardware, 'type', 'veth', ...peer)
  for (const { namespace, device, addresses } of ends) {
    for (const address of addresses) {
      // Without `nodad` an IPv6 address is of no use for its first second.
      const rest = address.includes(':') ? ['nodad'] : []
      await namespace.exec('ip', 'address', 'add', address, 'dev', device, ...rest)
    }
    await namespace.exec('ip', 'link', 'set', device, 'up')
  }
  // Neighbours are told, not discovered: discovery may lose its first question and repeat it a second later.
  for (const [from, to] of [ends, [two, one]] as const) {
    for (const address of to.addresses) {
      const neighbour = [address.replace(/\/.*/, ''), 'lladdr', to.hardware, 'dev', from.device]
      await from.namespace.exec('ip', 'neighbour', 'replace', ...neighbour, 'nud', 'permanent')
    }
  }
}

/** Puts a private file or folder in the place of another, for this namespace only. */
export async function bind(namespace: Namespace, source: string, target: string): Promise<void> {
  await namespace.exec('mount', '--bind', source, target)
}

const SERVER = `
import socket, sys, threading
s = socket.create_server(('::', int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
def serve():
    while True:
        s.accept()[0].close()
threading.Thread(target=serve, daemon=True).start()
print('ready', flush=True)
sys.stdin.read()
`
const CLIENT = `
import socket, sys
try:
    socket.create_connection((sys.argv[2], int(sys.argv[3])), 0.4, (sys.argv[1], 0)).close()
    print('yes')
except TimeoutError:
    print('dropped')
`

/** Accepts TCP connections on all addresses of a namespace, IPv4 and IPv6. @returns stops it */
export async function listen(namespace: Namespace, port: number): Promise<() => Promise<void>> {
  const args = [...namespace.prefix.slice(1), 'python3', '-I', '-c', SERVER, String(port)]
  const server = spawn(namespace.prefix[0], args, { stdio: ['pipe', 'pipe', 'inherit'] })
  await ready(server)
  return () => end(server)
}

/** Tries a TCP connection from one of the namespace's addresses: made, or silently dropped. */
export async function connects(
  namespace: Namespace,
  from: string,
  to: string,
  port: number
): Promise<boolean> {
  return (await namespace.exec('python3', '-I', '-c', CLIENT, from, to, String(port))).trim() === 'yes'
}

type Holder = ChildProcessByStdio<Writable, Readable, null>

async function ready(child: Holder): Promise<number> {
  const failed = once(child, 'close').then(() => {
    throw new Error('a helper of the test ended before it was ready')
  })
  failed.catch(() => undefined)
  await Promise.race([once(child.stdout, 'data'), failed])
  return child.pid!
}

async function end(child: Holder): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.stdin.end()
  child.kill('SIGKILL')
  await closed
}
