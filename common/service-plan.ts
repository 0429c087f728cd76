import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ProductError } from './errors.js'
import { packageRoot } from './package-root.js'
import type { PlacedFile } from './placed-files.js'

/** A program to run. */
export interface SystemStep {
  program: string
  args: readonly string[]
}

/** What one side of the product needs on a machine to run as a service. */
export interface ServicePlan {
  files: PlacedFile[]
  /** Run after the files are in place, where they are in place for this very machine. */
  steps: SystemStep[]
  /** What a person does next, as commands. */
  next: string[]
  warnings: string[]
}

/** What `uninstall` took back on this machine beside files, or would take back. */
export interface TakenBack {
  /** The firewalls that were cleared; absent when they were not to be. */
  cleared?: string[]
  /** Whether fail2ban was made to heed our whitelist no more. */
  withdrawn: boolean
  /** What a person does to remove the rest, as commands. */
  next: string[]
  warnings: string[]
}

/** One side of the product as a service. */
export interface Service {
  /** @param flags of `install` @throws ProductError BAD_INPUT, CONFIG */
  plan(flags: Record<string, unknown>): ServicePlan
  /** Every path that `install` may have written, whatever its flags. */
  paths: readonly string[]
  /** Units that are stopped and disabled before their files go. */
  units: readonly string[]
  /**
   * Takes back what this side did to other programs of this machine.
   * @param flags of `uninstall` @param write false only tells @throws ProductError BUSY, CONFIG, FIREWALL, COMMAND, DISK
   */
  takeBack?: (flags: Record<string, unknown>, write: boolean) => Promise<TakenBack>
}

/** Words that go into a unit, a cron line and a configuration as they are. */
const PLAIN = /^[A-Za-z0-9._/@+:=,-]+$/

/**
 * Reads a file of a deploy folder and puts values in the place of its `@NAME@`s.
 * @param path below the product's folder @throws ProductError BAD_INPUT for a value that would need quotes
 */
export function deployText(path: string, values: Readonly<Record<string, string>>): string {
  const text = readFileSync(join(packageRoot(), path), 'utf8')
  return text.replaceAll(/@([A-Z]+)@/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`${path}: nothing for @${name}@`)
    return value
  })
}

/** What starts this program, and where its guides are. @throws ProductError BAD_INPUT */
export function programValues(): { NODE: string; PROGRAM: string; DOCS: string } {
  const DOCS = packageRoot()
  const PROGRAM = join(DOCS, 'dist', 'program', 'bin.js')
  return { NODE: plain(process.execPath), PROGRAM: plain(PROGRAM), DOCS: plain(DOCS) }
}

/** A path that needs no quotes anywhere. @throws ProductError BAD_INPUT */
export function plain(path: string): string {
  if (PLAIN.test(path)) return path
  throw new ProductError(
    'BAD_INPUT',
    'a path has characters that a unit of systemd would need in quotes; move it'
  )
}

/** systemd's ProtectHome for what has to be reached. */
export function protectHome(paths: readonly string[]): 'yes' | 'read-only' {
  return paths.some(path => /^\/(home|root|run\/user)\//.test(path)) ? 'read-only' : 'yes'
}

/** What a service with a /tmp of its own can't see. */
export function tmpWarnings(paths: readonly string[]): string[] {
  return paths
    .filter(path => /^\/(var\/)?tmp\//.test(path))
    .map(path => `${path} is below /tmp, which the service can't see: move it`)
}
