import type { FastifyRequest } from 'fastify'
import { familyOf, parseAddress } from '../../common/address.js'
import type { ServerConfig } from '../config.js'

/** Prefix lengths of networks. */
interface Widths {
  4: number
  6: number
}

/** What a browser's address stays within while it moves about at home: providers change the last part. */
const ONE_PLACE: Widths = { 4: 24, 6: 64 }

/** The network of that width around a peer; IPv4 in IPv6's dress counts as IPv4. */
function networkOf(peer: string, widths: Widths): string {
  const address = parseAddress(peer.split('%')[0] ?? '')
  if (address === undefined) return peer
  return parseAddress(`${address}/${widths[familyOf(address)]}`) ?? address
}

/**
 * What a session is bound to, as text: the browser's own name always (it is sent by every request and changes
 * with an update only), its network where the setting asks for it. Networks are not bound by default: a browser
 * that has IPv4 and IPv6 changes between the two at will, and a phone between mobile and house network.
 */
export function whereFrom(request: FastifyRequest, bind: ServerConfig['sessionBinding']): string {
  const agent = request.headers['user-agent'] ?? ''
  return JSON.stringify(bind === 'network' ? [agent, networkOf(request.ip, ONE_PLACE)] : [agent])
}
