import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { checkParams, COMMAND_TYPES, type CommandType } from '../../common/commands.js'
import { isServerName, type ServerName } from '../../common/names.js'
import { orderCommand } from '../store/command-order.js'
import { serverOfCommand } from '../store/commands.js'
import { COMMAND_STATES, type HostCommand } from '../store/kinds.js'
import { nameError } from './error-names.js'
import { boundTo, keyOrUserActor, requireKeyOrUser, requireRight, type Right } from './key-access.js'
import { knownServer } from './known-server.js'
import { FAILURES, ServerText } from './reply-shapes.js'
import { Sessions } from './sessions.js'

const TypeName = Type.Unsafe<CommandType>({ type: 'string', enum: COMMAND_TYPES })
const State = Type.Unsafe<HostCommand['state']>({ type: 'string', enum: [...COMMAND_STATES] })
const Time = Type.Union([Type.String(), Type.Null()])
const Give = Type.Object(
  {
    server_id: ServerText,
    command_type: TypeName,
    params: Type.Optional(Type.Record(Type.String(), Type.Unknown()))
  },
  { additionalProperties: false }
)
const Command = Type.Object({
  id: Type.String(),
  server_id: Type.String(),
  command_type: Type.String(),
  params: Type.Object({ jail: Type.Optional(Type.String()), ip: Type.Optional(Type.String()) }),
  state: State,
  created_at: Type.String(),
  created_by: Type.String(),
  started_at: Time,
  ended_at: Time,
  /** Absent in lists, and for viewers. Text of a host: to be shown as text only. */
  output: Type.Optional(Type.Union([Type.String(), Type.Null()]))
})
const OneReply = Type.Object({ success: Type.Literal(true), command: Command })
const Wanted = Type.Object(
  {
    server_id: Type.Optional(ServerText),
    state: Type.Optional(State),
    limit: Type.Optional(Type.String({ pattern: '^[1-9]\\d{0,3}$' }))
  },
  { additionalProperties: false }
)
const ListReply = Type.Object({
  success: Type.Literal(true),
  /** Newest first. */
  commands: Type.Array(Command)
})
const USUAL_ROWS = 100
/** Hosts' files that are looked at together. */
const TOGETHER = 16

/** What a key needs to give each type: a reload may put in force whatever lies in a host's settings. */
const needs = (type: CommandType): Right => (type === 'fail2ban_reload' ? 'admin' : 'write')

/**
 * POST and GET /api/v1/commands and GET /api/v1/commands/:id, for programs with a key and for users: who may write (an
 * admin) gives commands, everybody else looks. What a command printed, viewers don't see: as live, where command_result is
 * for admins only.
 */
export default function commandRoutes(scope: FastifyInstance, _options: object, done: () => void): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  scope.removeContentTypeParser(['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'])
  scope.decorateRequest('session', undefined)
  scope.decorateRequest('apiKey', undefined)
  const sessions = new Sessions(app.store, app.clock, error =>
    app.log.error({ event: 'session_renewal_failed', err: error }, 'a session could not be renewed')
  )
  scope.addHook('onRequest', requireKeyOrUser(sessions, app.clock))
  scope.addHook('onSend', async (_request, reply) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
  })
  scope.addHook('onError', nameError)
  app.post(
    '/commands',
    { schema: { body: Give, response: { 201: OneReply, ...FAILURES } } },
    async (request, reply) => {
      const { server_id, command_type, params = {} } = request.body
      requireRight(request, needs(command_type), server_id)
      const checked = checkParams(command_type, params)
      const server = await knownServer(app.store, server_id)
      const actor = keyOrUserActor(request)
      const command = await orderCommand(app.store, server, command_type, checked, actor, request.ip)
      const { id, type } = command
      request.log.info(
        { event: 'command', server, id, type, by: actor.name, peer: request.ip },
        'a command was given'
      )
      return reply.code(201).send({ success: true as const, command: told(server, command, true) })
    }
  )
  app.get(
    '/commands',
    { schema: { querystring: Wanted, response: { 200: ListReply, ...FAILURES } } },
    async request => {
      const { server_id = boundTo(request), state, limit = String(USUAL_ROWS) } = request.query
      requireRight(request, 'read', server_id)
      const servers =
        server_id === undefined ? await app.store.hosts.names() : [await knownServer(app.store, server_id)]
      const rows = (await allOf(app, servers)).filter(row => state === undefined || row.state === state)
      rows.sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
      return { success: true as const, commands: rows.slice(0, Number(limit)) }
    }
  )
  app.get(
    '/commands/:id',
    {
      config: { namesInPath: true },
      schema: {
        params: Type.Object({ id: Type.String({ maxLength: 120 }) }, { additionalProperties: false }),
        response: { 200: OneReply, ...FAILURES }
      }
    },
    async request => {
      const { id } = request.params
      requireRight(request, 'read', serverOfCommand(id))
      const { server, command } = await app.store.commands.find(id)
      return { success: true as const, command: told(server, command, request.session?.role !== 'viewer') }
    }
  )
  done()
}

async function allOf(
  app: FastifyInstance,
  servers: readonly ServerName[]
): Promise<Static<typeof Command>[]> {
  const rows: Static<typeof Command>[] = []
  for (let at = 0; at < servers.length; at += TOGETHER) {
    const some = servers.slice(at, at + TOGETHER).filter(isServerName)
    const lists = await Promise.all(
      some.map(async server => (await app.store.commands.list(server)).map(one => told(server, one, false)))
    )
    rows.push(...lists.flat())
  }
  return rows
}

function told(server: ServerName, command: HostCommand, whole: boolean): Static<typeof Command> {
  return {
    id: command.id,
    server_id: server,
    command_type: command.type,
    params: command.params,
    state: command.state,
    created_at: command.createdAt,
    created_by: command.createdBy,
    started_at: command.startedAt ?? null,
    ended_at: command.endedAt ?? null,
    ...(whole ? { output: command.output ?? null } : {})
  }
}
