import { isIPv4 } from 'node:net'
import { parseAddress, type Address } from '../../common/address.js'

/**
 * A network as `Require ip` and `Allow from` take it: an address, `10.1` for 10.1.0.0/16, with a prefix length or a
 * netmask behind a slash (which Apache takes with whole addresses only).
 * @returns undefined for anything else, such as a name
 */
export function apacheNetwork(text: string): Address | undefined {
  const [host = '', mask, ...more] = text.split('/')
  if (more.length > 0) return undefined
  if (mask === undefined) {
    if (host.includes(':') || isIPv4(host)) return parseAddress(host)
    const parts = host.replace(/\.$/, '').split('.')
    if (parts.length > 3 || !/^\d/.test(host)) return undefined
    return parseAddress(`${[...parts, '0', '0', '0'].slice(0, 4).join('.')}/${parts.length * 8}`)
  }
  if (!isIPv4(mask)) return parseAddress(text)
  const bits = mask
    .split('.')
    .map(part => Number(part).toString(2).padStart(8, '0'))
    .join('')
  // Only such masks are a network.
  return isIPv4(host) && /^1*0*$/.test(bits)
    ? parseAddress(`${host}/${bits.replaceAll('0', '').length}`)
    : undefined
}
