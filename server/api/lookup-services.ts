import ipaddr from 'ipaddr.js'
import { request } from 'undici'
import { ProductError } from '../../common/errors.js'

/** What a service says, by its own names; all text. */
export type Facts = Record<string, string>

/** The service asked to be left alone for a while. */
export class RateLimited extends Error {
  constructor(readonly waitMs: number) {
    super('rate limited')
  }
}

const TIME_LIMIT_MS = 8000
const MOST_BYTES = 256 * 1024
const LONGEST_WAIT_MS = 24 * 3_600_000

const ABUSEIPDB = [
  'abuseConfidenceScore',
  'totalReports',
  'numDistinctUsers',
  'lastReportedAt',
  'countryCode',
  'isp',
  'domain',
  'usageType',
  'isTor',
  'isWhitelisted'
]
const IPINFO = ['hostname', 'org', 'city', 'region', 'country', 'timezone', 'anycast']

/** AbuseIPDB's API v2 `check`. @throws ProductError LOOKUP, RateLimited */
export async function askAbuseIpdb(url: string, key: string, ip: string): Promise<Facts> {
  const asked = new URL(url)
  asked.searchParams.set('ipAddress', publicOnly(ip))
  asked.searchParams.set('maxAgeInDays', '90')
  const answer = await ask('AbuseIPDB', asked, { key })
  return pick((answer as { data?: unknown }).data, ABUSEIPDB)
}

/** ipinfo's `/<ip>/json`. The key goes as a header: URLs end up in logs. @throws ProductError LOOKUP, RateLimited */
export async function askIpinfo(url: string, key: string, ip: string): Promise<Facts> {
  const asked = new URL(url)
  asked.pathname = `${asked.pathname.replace(/\/$/, '')}/${encodeURIComponent(publicOnly(ip))}/json`
  return pick(await ask('ipinfo', asked, { authorization: `Bearer ${key}` }), IPINFO)
}

/** Nobody outside learns of addresses that mean nothing there. */
function publicOnly(ip: string): string {
  if (ipaddr.parse(ip).range() === 'unicast') return ip
  throw new ProductError('BAD_INPUT', `${ip} is no public address: nobody outside knows of it`)
}

async function ask(service: string, url: URL, headers: Record<string, string>): Promise<unknown> {
  const signal = AbortSignal.timeout(TIME_LIMIT_MS)
  try {
    const {
      statusCode,
      headers: told,
      body
    } = await request(url, {
      headers: { accept: 'application/json', ...headers },
      signal
    })
    let text = ''
    for await (const chunk of body) {
      text += String(chunk)
      if (text.length > MOST_BYTES) throw new ProductError('LOOKUP', `${service} answered with too much`)
    }
    if (statusCode === 429) throw new RateLimited(waitOf(told['retry-after']))
    if (statusCode === 401 || statusCode === 403) {
      throw new ProductError('LOOKUP', `${service} refuses the key in fail2ban-report.config`)
    }
    if (statusCode !== 200) throw new ProductError('LOOKUP', `${service} answered ${statusCode}`)
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof ProductError || error instanceof RateLimited) throw error
    const why = signal.aborted
      ? `did not answer within ${TIME_LIMIT_MS / 1000} s`
      : 'could not be understood or reached'
    throw new ProductError('LOOKUP', `${service} ${why}`, error)
  }
}

function waitOf(header: string | string[] | undefined): number {
  const seconds = Number(header)
  return seconds > 0 ? Math.min(seconds * 1000, LONGEST_WAIT_MS) : 60_000
}

function pick(answer: unknown, names: readonly string[]): Facts {
  if (typeof answer !== 'object' || answer === null) return {}
  const facts: Facts = {}
  for (const name of names) {
    const value: unknown = Reflect.get(answer, name)
    if (['string', 'number', 'boolean'].includes(typeof value)) facts[name] = String(value).slice(0, 300)
  }
  return facts
}
