import { isIP } from 'node:net'
import type { Command } from 'commander'
import { Agent, request } from 'undici'
import { ProductError, messageOf, systemCode } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { addFlags } from '../../common/settings.js'
import { readServerConfig, SERVE_SETTINGS, type ServerConfig } from '../config.js'
import type { Terminal } from './context.js'

const { host, port, basePath, tlsCert } = SERVE_SETTINGS
const SETTINGS = { host, port: { ...port, describe: 'port it listens on' }, basePath, tlsCert }
const WAIT_MS = 10_000

/** `health`: asks the server on this machine whether it is well, for containers and monitoring. */
export function addHealthCommand(program: Command, terminal: Terminal): void {
  addFlags(program.command('health'), SETTINGS)
    .description(
      'ask the server on this machine whether it answers and can use its folders; ends with 1 if not'
    )
    .addHelpText('after', '\nExamples:\n  fail2ban-report health\n  fail2ban-report health --port 9000')
    .action(async (flags: Record<string, unknown>) => {
      const url = healthUrl(readServerConfig({ flags, env: terminal.env }))
      const { unwell } = await askHealth(url)
      if (unwell !== undefined) throw unwell
      terminal.out(`ok: ${url}`)
    })
}

/** Where the server of this machine answers. @throws ProductError CONFIG for a port that is not known */
export function healthUrl({ host, port, basePath, tlsCert }: ServerConfig): string {
  if (port === 0) throw new ProductError('CONFIG', '--port: which one? The server has taken a free one')
  // A server that listens everywhere listens on loopback.
  const at = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host
  const scheme = tlsCert === '' ? 'http' : 'https'
  return `${scheme}://${isIP(at) === 6 ? `[${at}]` : at}:${port}${basePath === '/' ? '' : basePath}/healthz`
}

/**
 * Asks a server how it is. @returns the reply's status, and what is wrong (ProductError UNWELL) when it is not well
 * @throws ProductError NETWORK when it does not answer
 */
export async function askHealth(url: string): Promise<{ status: number; unwell: ProductError | undefined }> {
  // Nothing secret is sent, and the certificate is made out to the server's public name, not to loopback.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  try {
    const signal = AbortSignal.timeout(WAIT_MS)
    const { statusCode, body } = await request(url, { dispatcher, signal })
    const text = await body.text()
    const well = statusCode === 200 && text.includes('"ok"')
    const unwell = well
      ? undefined
      : new ProductError('UNWELL', `${url} answered ${statusCode}${saidBy(text)}`)
    return { status: statusCode, unwell }
  } catch (error) {
    throw new ProductError('NETWORK', `${url}: ${systemCode(error) ?? messageOf(error)}`, error)
  } finally {
    await dispatcher.destroy()
  }
}

/** What our server says of itself; nothing of a program that is another. */
function saidBy(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown }
    return typeof message === 'string' ? `: ${printable(message, 300)}` : ''
  } catch {
    return ''
  }
}
