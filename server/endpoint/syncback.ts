import type { FastifyInstance } from 'fastify'
import { ProductError } from '../../common/errors.js'
import { CHANGES_SUFFIX, madeOf } from '../../common/list-changes.js'
import { listName, printable, type ListName, type ServerName } from '../../common/names.js'
import { clientActor } from '../store/audit-row.js'
import type { UploadedList } from '../store/blocklists.js'
import { readUploadedChanges, readUploadedList } from '../store/uploaded-list.js'
import type { SpooledUpload } from '../store/uploads.js'
import type { Received } from './receive.js'

export interface SyncBackReply {
  success: true
  message: string
  files: ListName[]
  /** Lists of which changes came that can't be made here: they are wanted whole. Only for clients that sent changes. */
  whole?: ListName[]
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
  const whole: ListName[] = []
  const errors = refused.map(({ file, message }) => ({ file: printable(file), message }))
  for (const file of files) {
    try {
      const { list, taken } = await takeBack(app, server, peer, file)
      if (taken) done.push(list)
      else whole.push(list)
    } catch (error) {
      // What the client can't mend (a full disk, a lock) is the whole request's error, unless something was done.
      if (!(error instanceof ProductError) || (error.status >= 500 && done.length === 0)) throw error
      errors.push({ file: printable(file.name), message: error.message })
    }
  }
  if (done.length + whole.length === 0) return { reply: undefined, errors }
  if (done.length > 0) await app.store.hosts.seen(server, {}, 'back')
  const message =
    errors.length === 0
      ? 'All files processed successfully.'
      : `${done.length} processed, ${errors.length} refused.`
  const reply: SyncBackReply = { success: true, message, files: done }
  if (errors.length > 0) reply.errors = errors
  if (whole.length > 0) reply.whole = whole
  return { reply, errors }
}

/** Takes one file. @returns `taken` false for changes that can't be made here: their list is wanted whole */
async function takeBack(
  app: FastifyInstance,
  server: ServerName,
  peer: string,
  file: SpooledUpload
): Promise<{ list: ListName; taken: boolean }> {
  const take = async (list: ListName, upload: UploadedList) => {
    const actor = clientActor(server, peer)
    const kept = await app.store.lists.syncBack(server, list, upload, app.config.syncback, actor)
    const { length } = upload.entries
    app.log.info({ event: 'sync_back', server, list, entries: length, kept }, 'list synced back')
    return { list, taken: true }
  }
  if (!file.name.endsWith(CHANGES_SUFFIX)) {
    const list = listName(file.name)
    return file.use(async text => take(list, { entries: readUploadedList(list, text), text }))
  }
  const list = listName(file.name.slice(0, -CHANGES_SUFFIX.length))
  const changes = await file.use(text => Promise.resolve(readUploadedChanges(list, text)))
  if (changes.bytes > app.config.uploadBytes) {
    throw new ProductError('UPLOAD_SIZE', `at most ${app.config.uploadBytes} bytes a list`)
  }
  const { text } = await app.store.lists.read(server, list)
  return app.store.uploads.withRoom(Math.max(changes.bytes, text.length), async () => {
    const known = await app.store.lists.read(server, list)
    const hash = known.version === '' ? undefined : app.store.hashes.of(known)
    const made = hash === changes.base ? madeOf(known, changes) : undefined
    if (made !== undefined) {
      const { value: entries, text } = made
      return take(list, { entries, text, made: { of: known.value, changes } })
    }
    app.log.info({ event: 'whole_list_wanted', server, list }, 'changes of another version came back')
    return { list, taken: false }
  })
}
