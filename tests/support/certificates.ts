import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Why certificates can't be made here, or false. */
export const NO_OPENSSL = existsSync('/usr/bin/openssl') ? false : 'openssl is not installed'

/** Files of a certificate, its key, and the authority that signed it. */
export interface Certificate {
  cert: string
  key: string
  ca: string
}

/**
 * Makes a certificate for localhost, 127.0.0.1 and further addresses, signed by an authority of its own.
 * @param name of the files @param days negative for one that has ended
 */
export function makeCertificate(dir: string, name: string, addresses: string[] = [], days = 30): Certificate {
  const at = (suffix: string) => join(dir, `${name}.${suffix}`)
  const openssl = (...words: string[]) => execFileSync('openssl', words, { stdio: 'pipe' })
  const key = (path: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    path
  ]
  const names = ['DNS:localhost', ...['127.0.0.1', ...addresses].map(ip => `IP:${ip}`)].join(',')
  openssl(
    'req',
    '-x509',
    ...key(at('ca.key')),
    '-out',
    at('ca.pem'),
    '-days',
    '30',
    '-subj',
    `/CN=${name} authority`
  )
  openssl(
    'req',
    ...key(at('key')),
    '-out',
    at('csr'),
    '-subj',
    `/CN=${name}`,
    '-addext',
    `subjectAltName=${names}`
  )
  openssl(
    ...['x509', '-req', '-in', at('csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'],
    ...['-copy_extensions', 'copy', '-days', String(days), '-out', at('pem')]
  )
  return { cert: at('pem'), key: at('key'), ca: at('ca.pem') }
}
