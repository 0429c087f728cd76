import { readFile, truncate, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Action } from './actions.js'
import type { Random } from './random.js'
import type { Soak } from './soak.js'

/** What goes wrong, beside the faults that processes and connections are born with. */
export const FAULTS: Action[] = [
  { name: 'server killed', weight: 0.6, run: killServer },
  { name: 'server killed while data flows', weight: 0.6, run: killOnTraffic },
  { name: 'disk full', weight: 0.4, run: fillDisk },
  { name: 'disk read-only', weight: 0.4, run: makeReadOnly },
  { name: 'settings cut', weight: 0.8, run: cutSettings }
]

async function killServer(soak: Soak, random: Random): Promise<void> {
  await delay(random.between(0, 300))
  random.pick(soak.seats).kill()
}

/** Kills a server once some pieces of requests or replies have passed: inside an upload or download. */
async function killOnTraffic(soak: Soak, random: Random): Promise<void> {
  const seat = random.pick(soak.seats)
  const proxy = random.chance(0.7) ? seat.forHosts : seat.forAdmins
  const direction = random.pick(['request', 'reply'] as const)
  let left = random.between(1, 12)
  proxy.passed = passed => {
    if (passed === direction && --left === 0) seat.kill()
  }
  await delay(1000)
  proxy.passed = () => undefined
}

async function fillDisk(soak: Soak, random: Random): Promise<void> {
  await onDisk(soak, random, disk => disk.fill())
}

async function makeReadOnly(soak: Soak, random: Random): Promise<void> {
  await onDisk(soak, random, disk => disk.makeReadOnly())
}

async function onDisk(
  soak: Soak,
  random: Random,
  fault: (disk: Soak['at']['disks'][number]) => Promise<unknown>
): Promise<void> {
  const sound = soak.at.disks.filter(disk => disk.sound)
  // One hand at a time on the settings, which lie on a disk as well.
  if (sound.length === 0 || soak.cutSettings) return
  const disk = random.pick(sound)
  await fault(disk)
  await delay(random.between(100, 1200))
  await disk.mend()
}

/** A person edits a settings file in place and saves it half-way, then whole. */
async function cutSettings(soak: Soak, random: Random): Promise<void> {
  if (soak.cutSettings || soak.at.disks.some(disk => !disk.sound)) return
  soak.cutSettings = true
  try {
    const path = soak.at.server('settings', random.pick(['client-list.json', 'users.json']))
    const text = await readFile(path, 'utf8')
    await truncate(path, random.between(0, text.length - 1))
    await delay(random.between(50, 800))
    await writeFile(path, text)
  } finally {
    soak.cutSettings = false
  }
}
