import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Random } from './random.js'

/** How a child ended. */
export interface Ended {
  code: number | null
  /** It was killed with SIGKILL, by us or by itself. */
  killed: boolean
  err: string
}

/** A running child. */
export interface Child {
  process: ChildProcessByStdio<null, Readable, Readable>
  ended: Promise<Ended>
  kill(): void
}

/** What is to befall a child by its own hand (faulty-process.mjs). */
export interface OwnFaults {
  /** The change on the disk at which it kills itself. */
  killAt?: number
  /** Its clock's step, in milliseconds. */
  clockStep?: number
  /** Milliseconds after its start until the step. */
  clockAfter?: number
}

/** Steps that clocks make: a daylight mistake, a wrong hardware clock, a late first synchronisation. */
const CLOCK_STEPS = [-3 * 3_600_000, -600_000, -20_000, 20_000, 600_000, 3 * 3_600_000]

/** The folder of package.json: this file may lie in `tests/` or, compiled, in `dist/tests/`. */
const ROOT = rootAbove(dirname(fileURLToPath(import.meta.url)))
const BIN = join(ROOT, 'dist/program/bin.js')
const HOOK = pathToFileURL(join(ROOT, 'tests/soak/faulty-process.mjs')).href

/** Starts the product's processes and keeps count of them: none may outlive the run. */
export class Children {
  /** Kills that struck a running process. */
  kills = 0
  readonly #run = randomUUID()
  readonly #alive = new Set<Child>()

  /** Starts a command of the built program. */
  start(args: readonly string[], faults: OwnFaults = {}): Child {
    const child = spawn(process.execPath, [BIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#environment(faults) }
    })
    let err = ''
    child.stderr.on('data', (chunk: Buffer) => (err = (err + chunk.toString()).slice(-4000)))
    const ended = once(child, 'close').then(([code]): Ended => {
      this.#alive.delete(started)
      const killed = child.signalCode === 'SIGKILL'
      if (killed) this.kills++
      return { code: code as number | null, killed, err }
    })
    const started: Child = { process: child, ended, kill: () => void child.kill('SIGKILL') }
    this.#alive.add(started)
    return started
  }

  /** Kills what still runs. */
  async killAll(): Promise<void> {
    const all = [...this.#alive]
    for (const child of all) child.kill()
    await Promise.all(all.map(child => child.ended))
  }

  /** Ids of all processes of this machine that descend from this run's children. */
  async left(): Promise<string[]> {
    const found: string[] = []
    for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
      const environment = await readFile(join('/proc', pid, 'environ'), 'utf8').catch(() => '')
      if (environment.includes(this.#run)) found.push(pid)
    }
    return found
  }

  #environment({ killAt, clockStep, clockAfter }: OwnFaults): Record<string, string> {
    const hooked = killAt !== undefined || clockStep !== undefined
    return {
      NODE_OPTIONS: hooked ? `--import=${HOOK}` : '',
      SOAK_RUN: this.#run,
      ...(killAt === undefined ? {} : { SOAK_KILL_AT: String(killAt) }),
      ...(clockStep === undefined ? {} : { SOAK_CLOCK_STEP: String(clockStep) }),
      ...(clockAfter === undefined ? {} : { SOAK_CLOCK_AFTER: String(clockAfter) })
    }
  }
}

/** Draws what is to befall a child. @param most changes on the disk that such a child may make in its life */
export function drawFaults(random: Random, most: number): OwnFaults {
  const faults: OwnFaults = {}
  if (random.chance(0.5)) faults.killAt = random.between(1, most)
  if (random.chance(0.25)) {
    faults.clockStep = random.pick(CLOCK_STEPS)
    faults.clockAfter = random.pick([0, 500, 2000])
  }
  return faults
}

function rootAbove(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : rootAbove(dirname(folder))
}
