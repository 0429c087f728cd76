import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import { ownVersion } from '../../common/package-root.js'
import { LOOKUPS, type LookupName } from './lookups.js'
import { FAILURES } from './reply-shapes.js'

const Reply = Type.Object({
  success: Type.Literal(true),
  version: Type.String(),
  defaultServer: Type.String(),
  maxDisplayDays: Type.Integer(),
  /** Look-ups that can be asked for. */
  lookups: Type.Array(Type.Unsafe<LookupName>({ type: 'string', enum: [...LOOKUPS] })),
  /** True where GET <base>/api/ws tells of changes. */
  hub: Type.Boolean()
})

/** GET /api/settings: what of the operator's settings the dashboard needs; never a key. */
export function settingRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  const { maxDisplayDays, defaultServer, keys } = app.reportConfig
  app.get('/settings', { schema: { response: { 200: Reply, ...FAILURES } } }, () => ({
    success: true as const,
    version: ownVersion(),
    defaultServer,
    maxDisplayDays,
    lookups: LOOKUPS.filter(name => name === 'dns' || keys[name] !== ''),
    hub: app.hasRoute({ method: 'GET', url: `${scope.prefix}/ws` })
  }))
}
