import { hashSync } from '@node-rs/bcrypt'
import type { ClientEntry } from '../../common/shapes.js'

/** Entries of client-list.json: hosts with one password and the uuid `u`, from any address. @param cost of bcrypt */
export function clientEntries(names: readonly string[], password: string, cost = 4): ClientEntry[] {
  const hash = hashSync(password, cost)
  return names.map(username => ({ username, password: hash, uuid: 'u', ip: '' }))
}
