import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import * as Type from 'typebox'
import { LIMITS } from '../../common/shapes.js'
import { requireAdmin, sessionOf, userActor } from './access.js'
import { applyBlocks, OUTCOMES, type Outcome, type Told } from './block-apply.js'
import { MOST, planBlocks, type BlockWish } from './block-plan.js'
import { REFUSALS, type Refused } from '../store/guard.js'
import { FAILURES, JailText, ServerText } from './reply-shapes.js'

const Where = {
  servers: Type.Array(ServerText, { minItems: 1, maxItems: MOST.lists }),
  jails: Type.Array(JailText, { minItems: 1, maxItems: MOST.lists }),
  ips: Type.Array(Type.String({ minLength: 1, maxLength: 100 }), { minItems: 1, maxItems: MOST.addresses })
}
const Unblock = Type.Object(Where, { additionalProperties: false })
const Block = Type.Object(
  {
    ...Where,
    reason: Type.Optional(Type.String({ maxLength: LIMITS.reason })),
    expires: Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Null()])),
    tags: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: LIMITS.tag }), { maxItems: LIMITS.tags })
    ),
    source: Type.Optional(Type.String({ minLength: 1, maxLength: LIMITS.source }))
  },
  { additionalProperties: false }
)
const Result = Type.Object({
  server: Type.String(),
  jail: Type.String(),
  ip: Type.String(),
  outcome: Type.Unsafe<Outcome>({ type: 'string', enum: [...OUTCOMES] }),
  message: Type.String(),
  why: Type.Optional(
    Type.Object({
      code: Type.Unsafe<Refused['code']>({ type: 'string', enum: [...REFUSALS] }),
      hit: Type.String(),
      note: Type.String()
    })
  )
})
const ChangeReply = Type.Object({
  success: Type.Boolean(),
  message: Type.String(),
  results: Type.Array(Result)
})
/** Everything was refused (with results), or a conflict of another kind (without). */
const Refused = Type.Object({
  success: Type.Literal(false),
  message: Type.String(),
  results: Type.Optional(Type.Array(Result))
})
const CHANGE_REPLIES = { 200: ChangeReply, 409: Refused, ...FAILURES }

/** POST /api/block and POST /api/unblock: many addresses in many lists, for admins. */
export function blockingRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  app.post(
    '/block',
    { onRequest: requireAdmin, schema: { body: Block, response: CHANGE_REPLIES } },
    async (request, reply) => {
      const told = await change(app, { want: 'block', ...request.body }, request)
      return told.every(one => one.outcome === 'refused')
        ? reply.code(409).send({ success: false as const, message: summaryOf(told), results: told })
        : replyOf(told)
    }
  )
  app.post(
    '/unblock',
    { onRequest: requireAdmin, schema: { body: Unblock, response: CHANGE_REPLIES } },
    async request => replyOf(await change(app, { want: 'unblock', ...request.body }, request))
  )
}

async function change(app: FastifyInstance, wish: BlockWish, request: FastifyRequest): Promise<Told[]> {
  const plans = await planBlocks(app.store, wish, request.ip, app.clock())
  const { user } = sessionOf(request)
  const actor = userActor(request)
  return applyBlocks(app.store, plans, actor, ({ server, jail }, results, error) => {
    const line = { event: wish.want, user, peer: request.ip, server, jail, ...countsOf(results) }
    if (error === undefined) request.log.info(line, 'a list was to be changed')
    else request.log.error({ ...line, err: error }, 'a list could not be changed')
  })
}

function replyOf(told: Told[]): { success: boolean; message: string; results: Told[] } {
  return {
    success: told.every(one => one.outcome !== 'failed'),
    message: summaryOf(told),
    results: told
  }
}

const WORDS: Record<Outcome, string> = {
  blocked: 'to be blocked',
  'already-blocked': 'blocked already',
  unblocked: 'to be let in again',
  'already-unblocked': 'let in already',
  'not-blocked': 'not blocked before',
  refused: 'refused',
  failed: 'failed'
}

/** One result in its own words, several in numbers. */
function summaryOf(told: readonly Told[]): string {
  const [first] = told
  if (first !== undefined && told.length === 1) {
    return `${first.ip} in ${first.jail} on ${first.server} ${first.message}.`
  }
  const counts = Object.entries(countsOf(told)).map(
    ([outcome, count]) => `${count} ${WORDS[outcome as Outcome]}`
  )
  return `${counts.join(', ')}.`
}

function countsOf(told: readonly Told[]): Partial<Record<Outcome, number>> {
  const counts: Partial<Record<Outcome, number>> = {}
  for (const { outcome } of told) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}
