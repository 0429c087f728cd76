import type { FastifyRequest } from 'fastify'
import { familyOf, parseAddress } from '../../common/address.js'
import type { ServerConfig } from '../config.js'

/** Prefix lengths: what a browser's address stays within while it moves about at home. */
const ONE_PLACE = { 4: 24, 6: 64 }

/**
 * What a session is bound to, as text: the browser's own name always (it is sent by every request and changes
 * with an update only), its network where the setting asks for it. Networks are not bound by default: a browser
 * that has IPv4 and IPv6 changes between the two at will, and a phone between mobile and house network.
 */
export function whereFrom(request: FastifyRequest, bind: ServerConfig['sessionBinding']): string {
  const agent = request.headers['user-agent'] ?? ''
  return JSON.stringify(bind === 'network' ? [agent, networkOf(request.ip)] : [agent])
}

/** The network around a peer; IPv4 in IPv6's dress counts as IPv4. */
function networkOf(peer: string): string {
  const address = parseAddress(peer.split('%')[0] ?? '')
  if (address === undefined) return peer
  return parseAddress(`${address}/${ONE_PLACE[familyOf(address)]}`) ?? address
}
