import { ProductError } from '../../common/errors.js'
import { serverName, type ServerName } from '../../common/names.js'
import type { Store } from '../store/store.js'

/** The host of that name. @throws ProductError BAD_NAME, NOT_FOUND */
export async function knownServer(store: Pick<Store, 'hosts'>, text: string): Promise<ServerName> {
  const server = serverName(text)
  const names = await store.hosts.names()
  if (!names.includes(server)) throw noSuchHost(server, names)
  return server
}

/** Says which hosts there are. */
export function noSuchHost(name: string, names: readonly string[]): ProductError {
  return new ProductError(
    'NOT_FOUND',
    `there is no host ${name}; there are: ${names.join(', ') || 'none yet'}`
  )
}
