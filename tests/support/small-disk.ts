import { spawnSync } from 'node:child_process'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Large enough for the data of a run, small enough to be filled in a moment. */
const SIZE = '24m'
const PIECE = Buffer.alloc(256 * 1024)

/** Why there is no small disk here, or undefined where there can be one. */
export const NO_SMALL_DISK = process.getuid?.() === 0 ? undefined : 'mounting a small file system needs root'

/** A small file system of its own that can be filled up and made read-only. */
export class SmallDisk {
  #filler: string
  #fault: 'full' | 'read-only' | undefined

  private constructor(readonly folder: string) {
    this.#filler = join(folder, 'filler')
  }

  /** Makes the folder a disk of its own; for root alone. @throws Error when it can't be mounted */
  static async mount(folder: string): Promise<SmallDisk> {
    await mkdir(folder, { recursive: true })
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'none', folder])
    if (status !== 0) throw new Error(`no small disk: ${stderr.toString()}`)
    return new SmallDisk(folder)
  }

  /** True while it takes every write. */
  get sound(): boolean {
    return this.#fault === undefined
  }

  /** Leaves no byte free. */
  async fill(): Promise<void> {
    if (!this.sound) return
    this.#fault = 'full'
    const file = await open(this.#filler, 'w')
    try {
      for (let piece = PIECE; piece.length > 0;) {
        const written = await file.write(piece).then(
          ({ bytesWritten }) => bytesWritten,
          () => 0
        )
        if (written < piece.length) piece = piece.subarray(0, piece.length >> 1)
      }
    } finally {
      await file.close()
    }
  }

  /** Makes it read-only, if no file is being written just then. @returns whether it is */
  async makeReadOnly(): Promise<boolean> {
    if (!this.sound) return false
    this.#fault = 'read-only'
    for (let tries = 0; tries < 20; tries++) {
      if (spawnSync('mount', ['-o', 'remount,ro', this.folder]).status === 0) return true
      await delay(10)
    }
    this.#fault = undefined
    return false
  }

  /** Makes it sound again. */
  async mend(): Promise<void> {
    if (this.#fault === 'read-only') spawnSync('mount', ['-o', 'remount,rw', this.folder])
    await rm(this.#filler, { force: true })
    this.#fault = undefined
  }

  unmount(): void {
    spawnSync('umount', ['-l', this.folder])
  }
}
