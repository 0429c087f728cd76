import { Resolver } from 'node:dns/promises'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import { address } from '../../common/address.js'
import { isoTime } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { LookupCache } from './lookup-cache.js'
import { askAbuseIpdb, askIpinfo, type Facts } from './lookup-services.js'
import { FAILURES } from './reply-shapes.js'

export const LOOKUPS = ['dns', 'abuseipdb', 'ipinfo'] as const
/** Who is asked about an address. */
export type LookupName = (typeof LOOKUPS)[number]

const Asked = Type.Object(
  {
    ip: Type.String({ minLength: 1, maxLength: 100 }),
    source: Type.Unsafe<LookupName>({ type: 'string', enum: [...LOOKUPS] })
  },
  { additionalProperties: false }
)
const Reply = Type.Object({
  success: Type.Literal(true),
  ip: Type.String(),
  source: Type.String(),
  /** When the service was asked. */
  at: Type.String(),
  /** What it says, by the names it uses itself. */
  facts: Type.Record(Type.String(), Type.String())
})

/** GET /api/lookups: asks a service about one address; its answer is remembered for a day. */
export function lookupRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  const { config, reportConfig, clock } = app
  const cache = new LookupCache(clock)
  const resolver = new Resolver({ timeout: 3000, tries: 1 })
  const ask: Record<LookupName, (ip: string) => Promise<Facts>> = {
    dns: ip => reverse(resolver, ip),
    abuseipdb: ip => askAbuseIpdb(config.abuseipdbUrl, reportConfig.keys.abuseipdb, ip),
    ipinfo: ip => askIpinfo(config.ipinfoUrl, reportConfig.keys.ipinfo, ip)
  }
  app.get(
    '/lookups',
    { schema: { querystring: Asked, response: { 200: Reply, ...FAILURES } } },
    async request => {
      const { source } = request.query
      const ip = address(request.query.ip.trim())
      if (ip.includes('/')) throw new ProductError('BAD_INPUT', 'one address can be looked up, no network')
      if (source !== 'dns' && reportConfig.keys[source] === '') {
        throw new ProductError('NOT_FOUND', `there is no key for ${source} in fail2ban-report.config`)
      }
      const { facts, at } = await cache.of(source, ip, () => ask[source](ip))
      return { success: true as const, ip, source, at: isoTime(at), facts }
    }
  )
}

async function reverse(resolver: Resolver, ip: string): Promise<Facts> {
  try {
    return { names: (await resolver.reverse(ip)).join(', ') }
  } catch (error) {
    const code = (error as { code?: string }).code ?? ''
    if (code === 'ENOTFOUND' || code === 'ENODATA') return { names: '' }
    throw new ProductError('LOOKUP', 'the name server does not answer', error)
  }
}
