import { lookup } from 'node:dns/promises'
import { AddressSet, LOOPBACK, parseAddress } from '../common/address.js'
import { ProductError, systemCode } from '../common/errors.js'
import type { ServerConfig } from './config.js'

/**
 * Looks whether passwords would cross a network in the clear.
 * @returns a warning, where that was asked for
 * @throws ProductError CONFIG where it was not
 */
export async function checkPlainHttp(config: ServerConfig): Promise<string | undefined> {
  const { host, tlsCert, tlsKey, plainHttp } = config
  if (tlsCert !== '' || tlsKey !== '' || (await isLoopback(host))) return undefined
  if (plainHttp) {
    return `Plain HTTP on ${host}: whoever is on the way can read passwords, unless only a proxy with TLS reaches it`
  }
  throw new ProductError(
    'CONFIG',
    `--host ${host}: plain HTTP there lets whoever is on the way read passwords. Give --tls-cert and --tls-key; or ` +
      'listen on 127.0.0.1 behind a proxy with TLS; or say --plain-http yes'
  )
}

async function isLoopback(host: string): Promise<boolean> {
  const loopback = new AddressSet(LOOPBACK)
  const found = await lookup(host, { all: true }).catch((error: unknown) => {
    throw new ProductError(
      'CONFIG',
      `--host ${host} has no address (${systemCode(error) ?? 'unknown error'})`,
      error
    )
  })
  return found.every(({ address }) => {
    const peer = parseAddress(address)
    return peer !== undefined && loopback.covering(peer) !== undefined
  })
}
