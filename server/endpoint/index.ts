import type { FastifyInstance } from 'fastify'
import { ProductError } from '../../common/errors.js'
import { isEventsFileName, isListName, printable } from '../../common/names.js'
import { clientActor } from '../store/audit-row.js'
import { readUploadedList } from '../store/uploaded-list.js'
import type { Received } from './receive.js'

/** index.php: stores a day's events, or takes a blocklist (sync-contract.md §3). @returns the reply's message */
export async function takeFile(app: FastifyInstance, received: Received): Promise<string> {
  const { server, files, refused } = received
  const [file] = files
  if (file === undefined) {
    const [cut] = refused
    if (cut !== undefined) throw new ProductError('UPLOAD_SIZE', `at most ${app.config.uploadBytes} bytes`)
    throw new ProductError('NO_FILE')
  }
  if (isEventsFileName(file.name)) {
    const { name } = file
    await file.use(text => app.store.events.replace(server, name, text, received.arrived))
    return 'Events file stored.'
  }
  if (isListName(file.name)) {
    const { name } = file
    await file.use(text => {
      const upload = { entries: readUploadedList(name, text), text }
      return app.store.lists.confirm(server, name, upload, clientActor(server, received.peer))
    })
    return 'Blocklist updated.'
  }
  throw new ProductError('FILE_NAME', printable(file.name))
}
