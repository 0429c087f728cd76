import { endianness } from 'node:os'
import type { RunCommand } from '../../common/command.js'
import { ProductError, messageOf } from '../../common/errors.js'

/** A request to nf_tables; kinds, flags and attributes as in linux/netfilter/nf_tables.h and linux/netlink.h. */
export interface NetlinkRequest {
  kind: number
  /** Beside NLM_F_REQUEST. */
  flags?: number
  attributes?: Buffer
}

/** NLM_F_ROOT and NLM_F_MATCH: all there is. */
export const DUMP = 0x300
const REQUEST = 1
const MULTI = 2
const DUMP_INTERRUPTED = 0x10
const [ERROR, DONE] = [2, 3]
const NF_TABLES = 10 << 8
const INET = 1
/** Bytes of netlink's header; behind it stand four of nfnetlink's own. */
const HEADER = 16
const TYPE = 0x3fff
/** Bytes that are received at once: the kernel's own messages are half as long at the most. */
const MOST = 65_536

/**
 * Node.js opens no netlink socket. Python does, which every host with fail2ban has: it sends each line that it is given as a
 * request and prints the kernel's answers as they are, until nothing more is asked.
 */
const RELAY = `
import socket, struct, sys
kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
kernel.settimeout(30)
for line in sys.stdin:
    kernel.send(bytes.fromhex(line.strip()))
    more = True
    while more:
        data = kernel.recv(${MOST})
        sys.stdout.buffer.write(data)
        at = 0
        while at < len(data):
            length, kind, flags = struct.unpack_from('=IHH', data, at)
            more = kind not in (${ERROR}, ${DONE}) and flags & ${MULTI}
            at += max(${HEADER}, (length + 3) & ~3)
    sys.stdout.buffer.flush()
`

/**
 * Asks nf_tables, one request after the other.
 * @param requests may wait for what was answered before
 * @param onAnswer given the attributes of each message as it comes, and which request it answers; they are good for
 *   that moment only. May throw, which ends it
 * @throws ProductError COMMAND without Python; FIREWALL when the kernel refuses, or when what it told changed meanwhile
 */
export async function askNfTables(
  run: RunCommand,
  requests: AsyncIterable<NetlinkRequest>,
  onAnswer: (attributes: Buffer, request: number) => void
): Promise<void> {
  // Headers are in the machine's own order.
  if (endianness() !== 'LE') throw new ProductError('FIREWALL', 'this machine is no little-endian one')
  const stop = new AbortController()
  let rest: Buffer = Buffer.alloc(0)
  const onOutput = (piece: Buffer) => {
    if (stop.signal.aborted) return
    try {
      rest = takeMessages(rest.length === 0 ? piece : Buffer.concat([rest, piece]), onAnswer)
    } catch (error) {
      // It may be waiting for a request that waits for what was not understood.
      stop.abort(error)
    }
  }
  async function* lines() {
    let number = 0
    for await (const request of requests) yield `${messageText(request, number++)}\n`
  }
  const options = { feed: lines(), onOutput, signal: stop.signal }
  const ended = await run('python3', ['-I', '-S', '-c', RELAY], options).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error
  })
  if (stop.signal.aborted) {
    const reason: unknown = stop.signal.reason
    throw new ProductError('FIREWALL', `nf_tables: ${messageOf(reason)}`, reason)
  }
  if (ended?.code !== 0 || rest.length > 0) throw new ProductError('FIREWALL', 'nf_tables could not be asked')
}

function messageText(
  { kind, flags = 0, attributes = Buffer.alloc(0) }: NetlinkRequest,
  number: number
): string {
  const header = Buffer.alloc(HEADER + 4)
  header.writeUInt32LE(header.length + attributes.length, 0)
  header.writeUInt16LE(NF_TABLES | kind, 4)
  header.writeUInt16LE(REQUEST | flags, 6)
  header.writeUInt32LE(number, 8)
  header.writeUInt8(INET, HEADER)
  return header.toString('hex') + attributes.toString('hex')
}

/** @returns what is left behind the last whole message */
function takeMessages(data: Buffer, onAnswer: (attributes: Buffer, request: number) => void): Buffer {
  let at = 0
  while (data.length - at >= HEADER) {
    const length = data.readUInt32LE(at)
    if (length < HEADER || length > MOST) throw new Error('no message begins where one should')
    if (data.length - at < length) break
    const [kind, flags, request] = [
      data.readUInt16LE(at + 4),
      data.readUInt16LE(at + 6),
      data.readUInt32LE(at + 8)
    ]
    const body = data.subarray(at + HEADER, at + length)
    if (kind === ERROR || (kind === DONE && body.length >= 4 && body.readInt32LE() !== 0)) {
      throw new Error('the kernel refused')
    }
    if ((flags & DUMP_INTERRUPTED) !== 0) throw new Error('it changed meanwhile')
    if (kind !== DONE) onAnswer(body.subarray(4), request)
    at += (length + 3) & ~3
  }
  return data.subarray(at)
}

/** One attribute as it is sent. */
export function attribute(type: number, content: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt16LE(4 + content.length, 0)
  header.writeUInt16LE(type, 2)
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 3)])
}

/** Goes through attributes that stand one behind the other. @throws Error when they are cut off */
export function eachAttribute(
  data: Buffer,
  start: number,
  end: number,
  visit: (data: Buffer, type: number, from: number, to: number) => void
): void {
  let at = start
  while (at < end) {
    const length = end - at < 4 ? 0 : data.readUInt16LE(at)
    if (length < 4 || at + length > end) throw new Error('an attribute is cut off')
    visit(data, data.readUInt16LE(at + 2) & TYPE, at + 4, at + length)
    at += (length + 3) & ~3
  }
}
