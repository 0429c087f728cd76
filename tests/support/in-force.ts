import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** Watches nftables. @param prefix what puts a program in the namespace @returns waits for an address, and ends it */
export async function watchNftables(prefix: readonly [string, ...string[]]): Promise<{
  /** Resolves with the moment (performance.now) at which a set got an element of that text. */
  added: (ip: string) => Promise<number>
  end: () => Promise<void>
}> {
  const [program, ...args] = [...prefix, 'nft', 'monitor', 'new', 'elements'] as const
  const monitor = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(monitor, 'spawn')
  const seen = new Map<string, number>()
  const waiting = new Map<string, (at: number) => void>()
  createInterface({ input: monitor.stdout }).on('line', line => {
    for (const ip of line.match(/[0-9a-f.:]*[.:][0-9a-f.:]+/g) ?? []) {
      seen.set(ip, performance.now())
      waiting.get(ip)?.(performance.now())
    }
  })
  return {
    added: ip => {
      const at = seen.get(ip)
      return at === undefined ? new Promise(resolve => waiting.set(ip, resolve)) : Promise.resolve(at)
    },
    end: async () => {
      const closed = once(monitor, 'close')
      monitor.kill('SIGKILL')
      await closed
    }
  }
}
