import type { FastifyInstance } from 'fastify'
import { ProductError } from '../../common/errors.js'
import { listName, printable, type ListName } from '../../common/names.js'
import { clientActor } from '../store/audit-row.js'
import { readUploadedList } from '../store/uploaded-list.js'
import type { SpooledUpload } from '../store/uploads.js'
import type { Received } from './receive.js'

export interface SyncBackReply {
  success: true
  message: string
  files: ListName[]
  /** Files that were refused, and why; absent when there are none. */
  errors?: { file: string; message: string }[]
}

/**
 * syncback.php: takes the client's version of each list; one bad file doesn't stop the good ones
 * (sync-contract.md §3, §5.1, §5.3).
 * @returns the reply, and undefined as `reply` when every file was refused (`errors` says why)
 */
export async function syncBack(
  app: FastifyInstance,
  { server, peer, files, refused }: Received
): Promise<{ reply: SyncBackReply | undefined; errors: { file: string; message: string }[] }> {
  if (files.length + refused.length === 0) throw new ProductError('NO_FILES')
  const done: ListName[] = []
  const errors = refused.map(({ file, message }) => ({ file: printable(file), message }))
  for (const file of files) {
    try {
      done.push(await takeBack(app, server, peer, file))
    } catch (error) {
      // What the client can't mend (a full disk, a lock) is the whole request's error, unless something was done.
      if (!(error instanceof ProductError) || (error.status >= 500 && done.length === 0)) throw error
      errors.push({ file: printable(file.name), message: error.message })
    }
  }
  if (done.length === 0) return { reply: undefined, errors }
  await app.store.hosts.seen(server, {}, 'back')
  if (errors.length === 0) {
    return { reply: { success: true, message: 'All files processed successfully.', files: done }, errors }
  }
  const message = `${done.length} processed, ${errors.length} refused.`
  return { reply: { success: true, message, files: done, errors }, errors }
}

async function takeBack(
  app: FastifyInstance,
  server: Received['server'],
  peer: string,
  file: SpooledUpload
): Promise<ListName> {
  const list = listName(file.name)
  return file.use(async text => {
    const entries = readUploadedList(list, text)
    const actor = clientActor(server, peer)
    const kept = await app.store.lists.syncBack(server, list, { entries, text }, app.config.syncback, actor)
    app.log.info({ event: 'sync_back', server, list, entries: entries.length, kept }, 'list synced back')
    return list
  })
}
