import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Namespace } from './netns.js'

const PORT = 5353
/** Milliseconds between two packets of an address. */
const EVERY_MS = 2

/** Each round a packet of the address that is told on standard input, then one of the free address with its time. */
const SENDER = `
import os, socket, sys, threading, time
free, target, port, every = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]) / 1000
def open_from(ip):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((ip, 0))
    s.connect((target, port))
    return s
now = None
def listen():
    global now
    for line in sys.stdin:
        now = (line.strip(), open_from(line.strip()))
    os._exit(0) # the test has ended, or was killed
threading.Thread(target=listen, daemon=True).start()
sure = open_from(free)
round = 0
while True:
    round += 1
    if now is not None:
        ip, tried = now
        sent = time.monotonic_ns()
        tried.send(str(round).encode())
        sure.send(f'{round} {sent} {ip}'.encode())
    time.sleep(every)
`

/**
 * Says of each address when its packets arrive, and when the first one was sent that did not. A round's second packet
 * comes through the same queue as its first: where it is there and the first is not, the first was dropped.
 */
const RECEIVER = `
import os, socket, sys, threading
free, port = sys.argv[1], int(sys.argv[2])
def end_with_the_test():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=end_with_the_test, daemon=True).start()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 16 * 1024 * 1024) # SO_RCVBUFFORCE: nothing is lost where this process is late
s.bind(('0.0.0.0', port))
print('ready', flush=True)
last, told = {}, set()
while True:
    data, (source, _) = s.recvfrom(100)
    words = data.decode().split()
    if source != free:
        last[source] = words[0]
        continue
    round, sent, ip = words
    says = 'arrives' if last.get(ip) == round else 'dropped' if ip in last else None
    if says is not None and (says, ip) not in told:
        told.add((says, ip))
        print(says, ip, sent, flush=True)
`

type Child = ChildProcessByStdio<Writable, Readable, null>

/** A steady stream of UDP packets between two namespaces, from one address after the other. */
export interface Packets {
  /** Goes on from this address. Resolves when its packets arrive. */
  from: (ip: string) => Promise<void>
  /** When the first packet of the address was sent that did not arrive: `process.hrtime.bigint`, that is CLOCK_MONOTONIC. */
  dropped: (ip: string) => Promise<bigint>
  end: () => Promise<void>
}

/** Sends packets from addresses of `there` to `target` in `here`. @param free an address of `there` never blocked */
export async function sendPackets(
  there: Namespace,
  free: string,
  here: Namespace,
  target: string
): Promise<Packets> {
  const receiver = python(here, RECEIVER, free, String(PORT))
  const lines = createInterface({ input: receiver.stdout })
  await once(lines, 'line')
  const said = new Map<string, bigint>()
  lines.on('line', line => {
    const [says, ip, sent] = line.split(' ')
    said.set(`${says} ${ip}`, BigInt(sent ?? 0))
  })
  const sender = python(there, SENDER, free, target, String(PORT), String(EVERY_MS))
  return {
    from: async ip => {
      sender.stdin.write(`${ip}\n`)
      await heard(lines, said, `arrives ${ip}`)
    },
    dropped: ip => heard(lines, said, `dropped ${ip}`),
    end: async () => {
      const closed = [sender, receiver].map(child => once(child, 'close'))
      for (const child of [sender, receiver]) child.kill('SIGKILL')
      await Promise.all(closed)
    }
  }
}

async function heard(lines: Interface, said: ReadonlyMap<string, bigint>, what: string): Promise<bigint> {
  for (;;) {
    const at = said.get(what)
    if (at !== undefined) return at
    await once(lines, 'line')
  }
}

function python(where: Namespace, script: string, ...args: string[]): Child {
  const [program, ...words] = [...where.prefix, 'python3', '-I', '-c', script, ...args] as const
  return spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] })
}
