import multipart from '@fastify/multipart'
import type { FastifyInstance, FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import { LIMITS } from '../common/shapes.js'

type AsyncHook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>
type Hook = (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => void

/**
 * Lets all routes of an app that are added later read multipart forms.
 * @param uploadBytes what a file may have at most
 */
export function takeMultipartForms(app: FastifyInstance, uploadBytes: number): void {
  // The plugin would have its hooks run at every request: a poll that sends no such form took a twelfth longer.
  const forPlugin = Object.create(app, {
    addHook: {
      value: (name: 'onRequest' | 'onResponse', hook: AsyncHook) => app.addHook(name, forForms(hook))
    }
  }) as FastifyInstance
  multipart(
    forPlugin,
    {
      // A file cut at the limit is told of beside the others (endpoint/receive.ts looks at `truncated`).
      throwFileSizeLimit: false,
      limits: {
        fileSize: uploadBytes,
        files: LIMITS.uploadFiles,
        fields: 20,
        fieldNameSize: 100,
        fieldSize: 64 * 1024,
        parts: LIMITS.uploadFiles + 20,
        headerPairs: 50
      }
    },
    failed => {
      if (failed !== undefined) throw failed
    }
  )
}

function forForms(hook: AsyncHook): Hook {
  return (request, reply, done) => {
    if (request.mediaType === 'multipart/form-data') hook(request, reply).then(() => done(), done)
    else done()
  }
}
