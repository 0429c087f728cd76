import { ProductError } from '../../common/errors.js'
import { isServerName, printable, type ServerName } from '../../common/names.js'
import type { Store } from '../store/store.js'

/** The server of that name. @throws ProductError NOT_FOUND */
export async function knownServer(store: Store, text: string): Promise<ServerName> {
  const [server] = await knownServers(store, [text])
  return server as ServerName
}

/** The servers of these names, each once. @throws ProductError NOT_FOUND naming the first that is none */
export async function knownServers(store: Store, texts: readonly string[]): Promise<ServerName[]> {
  const names = new Set<string>(await store.hosts.names())
  return [...new Set(texts)].map(text => {
    if (isServerName(text) && names.has(text)) return text
    throw new ProductError('NOT_FOUND', `there is no server ${printable(text, 64)}`)
  })
}
