import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from '@node-rs/bcrypt'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import pino from 'pino'
import { buildApp } from '../../server/app.js'
import type { ServerConfig } from '../../server/config.js'
import { NOTHING_IN_FRONT } from './in-front.js'

/** A client as it stands in client-list.json of the tests. */
export const WEB1 = {
  username: 'web-1',
  password: 'correct horse',
  uuid: '2c7b6f0a-1111-4222-8333-444455556666'
}

/** An app on fresh folders with the client `web-1`, and what its tests need. */
export interface EndpointApp {
  app: FastifyInstance
  dir: string
  logs: Record<string, unknown>[]
  clock: { now: number }
  post(
    endpoint: string,
    form: Form | string,
    headers?: Record<string, string>
  ): Promise<LightMyRequestResponse>
  path(...parts: string[]): string
}

/** A multipart form: [field, text] or [field, content, file name], in order. */
export type Form = ([string, string] | [string, string, string])[]

const cheapHash = hashSync(WEB1.password, 4).replace('$2b$', '$2y$')

/** Builds the app. @param dir a folder of the test's own @param clients replaces the client list; '' leaves none */
export async function endpointApp(
  dir: string,
  more: Partial<ServerConfig> = {},
  clients: string = JSON.stringify([{ ...WEB1, password: cheapHash, ip: '' }])
): Promise<EndpointApp> {
  const folder = (name: string) => join(dir, name)
  for (const name of ['archive', 'download', 'temp', 'settings', 'public'])
    await mkdir(folder(name), { recursive: true })
  if (clients !== '') await writeFile(join(dir, 'settings', 'client-list.json'), clients)
  const logs: Record<string, unknown>[] = []
  const logger = pino(
    { level: 'info' },
    { write: line => logs.push(JSON.parse(line) as Record<string, unknown>) }
  )
  const clock = { now: Date.parse('2026-03-01T12:00:00Z') }
  const config: ServerConfig = {
    host: '127.0.0.1',
    port: 0,
    basePath: '/',
    folders: {
      archive: folder('archive'),
      download: folder('download'),
      temp: folder('temp'),
      settings: folder('settings')
    },
    trustProxy: [],
    syncback: 'merge',
    sessionBinding: 'agent',
    widest: { 4: 8, 6: 19 },
    uploadBytes: 1024 * 1024,
    abuseipdbUrl: 'http://127.0.0.1:9/',
    ipinfoUrl: 'http://127.0.0.1:9/',
    geoip: '',
    logLevel: 'info',
    logFile: '',
    user: '',
    ...NOTHING_IN_FRONT,
    ...more
  }
  const app = await buildApp(config, { logger, clock: () => clock.now, publicFolder: folder('public') })
  const post: EndpointApp['post'] = async (endpoint, form, headers = {}) => {
    const { payload, type } =
      typeof form === 'string'
        ? { payload: form, type: 'application/x-www-form-urlencoded' }
        : multipart(form)
    return app.inject({
      method: 'POST',
      url: `/endpoint/${endpoint}`,
      payload,
      headers: { 'content-type': type, ...headers }
    })
  }
  return { app, dir, logs, clock, post, path: (...parts) => join(dir, ...parts) }
}

/** The credentials as form fields. */
export const asFields = (more: Partial<typeof WEB1> = {}): Form =>
  Object.entries({ ...WEB1, ...more }).map(([name, value]): [string, string] => [name, value])

/** The credentials as an urlencoded body. */
export const asBody = (more: Record<string, string> = {}): string =>
  new URLSearchParams({ ...WEB1, ...more }).toString()

function multipart(form: Form): { payload: string; type: string } {
  const boundary = 'f2b-test-boundary'
  const parts = form.map(([field, content, fileName]) => {
    const file =
      fileName === undefined ? '' : `; filename="${fileName}"\r\nContent-Type: application/octet-stream`
    return `--${boundary}\r\nContent-Disposition: form-data; name="${field}"${file}\r\n\r\n${content}\r\n`
  })
  return {
    payload: `${parts.join('')}--${boundary}--\r\n`,
    type: `multipart/form-data; boundary=${boundary}`
  }
}
