import multipart from '@fastify/multipart'
import { LIMITS } from '../common/shapes.js'
import type { RequestHooks } from './request-hooks.js'

/**
 * Lets all routes of an app that are added later read multipart forms.
 * @param uploadBytes what a file may have at most
 */
export function takeMultipartForms(hooks: RequestHooks, uploadBytes: number): void {
  multipart(
    hooks.appFor(request => request.mediaType === 'multipart/form-data'),
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
