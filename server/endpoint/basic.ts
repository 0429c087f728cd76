import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance } from 'fastify'
import type { ClientAuthenticator } from './authenticate.js'
import { authenticate } from './receive.js'

/**
 * Lets the routes of `app` take HTTP Basic with X-Client-UUID (sync-contract.md §2): the hook `app.basicAuth` sets
 * `request.basicEntry`. It throws ProductError AUTH_*.
 */
export async function takeBasic(app: FastifyInstance, authenticator: ClientAuthenticator): Promise<void> {
  app.decorateRequest('basicEntry', undefined)
  await app.register(basicAuth, {
    validate: async (username, password, request) => {
      const uuid = request.headers['x-client-uuid']
      request.basicEntry = await authenticate(authenticator, request, {
        username,
        password,
        uuid: typeof uuid === 'string' ? uuid : ''
      })
    }
  })
}
