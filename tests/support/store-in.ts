import { join } from 'node:path'
import { Store } from '../../server/store/store.js'

/** A store on a folder of the test's own; its clock stands. */
export function storeIn(folder: string): Store {
  const at = (name: string) => join(folder, name)
  return new Store({
    folders: { archive: at('archive'), download: at('download'), temp: at('temp'), settings: at('settings') },
    clock: () => Date.parse('2026-03-01T12:00:00Z'),
    widest: { 4: 8, 6: 19 },
    onSetAside: () => undefined
  })
}
