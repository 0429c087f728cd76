import { Readable } from 'node:stream'
import type { MultipartFile } from '@fastify/multipart'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ProductError } from '../../common/errors.js'
import type { ServerName } from '../../common/names.js'
import { authFailed } from '../metrics.js'
import type { SpooledUpload } from '../store/uploads.js'
import type { CheckedClient, ClientAuthenticator, Credentials } from './authenticate.js'

/** A request of a client whose credentials were right. Its uploads lie in `temp/` until they are discarded. */
export interface Received {
  server: ServerName
  /** The address the request came from. */
  peer: string
  /** Which request to this process it is, counted as they come in. */
  arrived: number
  fields: ReadonlyMap<string, string>
  files: SpooledUpload[]
  /** Files that were refused while they came in. */
  refused: { file: string; message: string }[]
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The client's entry, set by HTTP Basic with X-Client-UUID (sync-contract.md §2). */
    basicEntry: CheckedClient | undefined
    /** Which request to an endpoint of this process it is. */
    arrived: number
  }
}

/** Files that come before the credentials are held in memory, up to this many bytes: nothing unknown is stored. */
const UNKNOWN_BYTES = 1024 * 1024

/**
 * Reads a client's request (urlencoded or multipart, fields in any order) and authenticates it.
 * @param fileFields names of the form fields that may hold files; files in others are passed over
 * @throws ProductError AUTH_* and what the form is refused for; no upload is left behind then
 */
export function receive(
  app: FastifyInstance,
  authenticator: ClientAuthenticator,
  request: FastifyRequest,
  fileFields: readonly string[]
): Promise<Received> {
  // No wait of its own: each costs a poll, which most requests are, more than what it reads.
  return request.isMultipart()
    ? multipart(new Reading(app, authenticator, request), fileFields)
    : urlencoded(authenticator, request)
}

async function multipart(reading: Reading, fileFields: readonly string[]): Promise<Received> {
  try {
    await reading.multipart(fileFields)
    return await reading.done()
  } catch (error) {
    await reading.discard()
    throw error
  } finally {
    reading.letGoEarly()
  }
}

/** What holds no file: nearly all requests. */
async function urlencoded(authenticator: ClientAuthenticator, request: FastifyRequest): Promise<Received> {
  const fields = new Map<string, string>()
  const { body, arrived } = request
  if (typeof body === 'object' && body !== null) {
    for (const name of Object.keys(body)) {
      const value: unknown = (body as Record<string, unknown>)[name]
      if (typeof value === 'string') fields.set(name, value)
    }
  }
  const { username } = request.basicEntry ?? (await authenticateBy(authenticator, request, fields))
  return { server: username, peer: request.ip, arrived, fields, files: [], refused: [] }
}

/** Reads a form with files. */
class Reading {
  readonly #fields = new Map<string, string>()
  readonly #files: SpooledUpload[] = []
  readonly #refused: { file: string; message: string }[] = []
  readonly #early: { name: string; content: Buffer }[] = []
  #earlyBytes = 0
  #earlyCounted = 0
  #server: ServerName | undefined

  constructor(
    private readonly app: FastifyInstance,
    private readonly authenticator: ClientAuthenticator,
    private readonly request: FastifyRequest
  ) {
    this.#server = request.basicEntry?.username
  }

  async multipart(fileFields: readonly string[]): Promise<void> {
    try {
      await this.#parts(fileFields)
    } catch (error) {
      // What the form's parser says of a malformed one comes as a plain Error.
      if (!(error instanceof Error) || error.constructor !== Error || 'code' in error) throw error
      throw new ProductError('UPLOAD_FORM', error.message, error)
    }
  }

  async #parts(fileFields: readonly string[]): Promise<void> {
    for await (const part of this.request.parts()) {
      if (part.type === 'field') {
        if (part.valueTruncated || part.fieldnameTruncated)
          throw new ProductError('UPLOAD_FORM', 'a field is too long')
        if (typeof part.value === 'string') this.#fields.set(part.fieldname, part.value)
      } else if (!fileFields.includes(part.fieldname) || part.filename === '') {
        part.file.resume()
      } else {
        await this.#file(part)
      }
    }
  }

  async #file(part: MultipartFile): Promise<void> {
    this.#server ??= await this.#authenticateIfTold()
    if (this.#server === undefined) {
      const content = await this.#holdEarly(part)
      this.#early.push({ name: part.filename, content })
      return
    }
    const upload = await this.app.store.uploads.spool(this.#server, part.filename, part.file)
    if (!part.file.truncated) {
      this.#files.push(upload)
      return
    }
    await upload.discard()
    const { message } = new ProductError('UPLOAD_SIZE', `at most ${this.app.config.uploadBytes} bytes a file`)
    this.#refused.push({ file: part.filename, message })
  }

  async #holdEarly(part: MultipartFile): Promise<Buffer> {
    const chunks: Buffer[] = []
    for await (const chunk of part.file as AsyncIterable<Buffer>) {
      this.#earlyBytes += chunk.length
      if (this.#earlyBytes > UNKNOWN_BYTES) {
        throw new ProductError('AUTH_USER', 'send username, password and uuid before the file')
      }
      this.app.store.uploads.countEarly(chunk.length)
      this.#earlyCounted += chunk.length
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  /** What was held early lies on the disk now, or is of no more use. */
  letGoEarly(): void {
    this.app.store.uploads.countEarly(-this.#earlyCounted)
    this.#earlyCounted = 0
  }

  async #authenticateIfTold(): Promise<ServerName | undefined> {
    const told = ['username', 'password', 'uuid'].every(name => this.#fields.has(name))
    return told ? this.#authenticate() : undefined
  }

  async #authenticate(): Promise<ServerName> {
    return (await authenticateBy(this.authenticator, this.request, this.#fields)).username
  }

  async done(): Promise<Received> {
    // Form fields say it even when a Basic header came along: that one may be the web server's own.
    const server = this.#server ?? (await this.#authenticate())
    for (const { name, content } of this.#early) {
      this.#files.push(await this.app.store.uploads.spool(server, name, Readable.from([content])))
    }
    const { ip: peer, arrived } = this.request
    return { server, peer, arrived, fields: this.#fields, files: this.#files, refused: this.#refused }
  }

  async discard(): Promise<void> {
    await Promise.all(this.#files.map(file => file.discard()))
  }
}

function authenticateBy(
  authenticator: ClientAuthenticator,
  request: FastifyRequest,
  fields: ReadonlyMap<string, string>
): Promise<CheckedClient> {
  const field = (name: string) => fields.get(name) ?? ''
  const given = { username: field('username'), password: field('password'), uuid: field('uuid') }
  return authenticate(authenticator, request, given)
}

/** Checks credentials and logs a failure with the peer's address. @throws ProductError as `ClientAuthenticator.check` */
export function authenticate(
  authenticator: ClientAuthenticator,
  request: FastifyRequest,
  given: Credentials
): Promise<CheckedClient> {
  return authenticator.check(given, request.ip).catch((error: unknown) => {
    if (error instanceof ProductError && (error.status === 403 || error.status === 429)) {
      authFailed(request, 'client', given.username)
    }
    throw error
  })
}
