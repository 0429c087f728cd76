import type { FastifyInstance, FastifyReply } from 'fastify'
import { ProductError } from '../../common/errors.js'
import { CHANGES_HEADER, CHANGES_TYPE } from '../../common/list-changes.js'
import type { Delivery } from '../store/downloads.js'
import type { Received } from './receive.js'

/**
 * download.php: delivers a handed-out copy and deletes it once all of it has been sent (sync-contract.md §3). A client
 * that names, beyond the concept, the `base` it holds gets only what was changed, where that is little: it makes the copy
 * of it, or asks update.php once more.
 * @throws ProductError FILE_PARAMETER, NOT_IN_DOWNLOAD
 */
export async function deliver(
  app: FastifyInstance,
  { server, fields }: Received,
  name: string | undefined,
  reply: FastifyReply
): Promise<FastifyReply> {
  if (name === undefined || name === '') throw new ProductError('FILE_PARAMETER')
  const delivery = await app.store.downloads.open(server, name)
  if (delivery === undefined) throw new ProductError('NOT_IN_DOWNLOAD')
  // 'finish' comes once the last byte was handed to the system; a connection cut before that keeps the copy.
  reply.raw.once('finish', () => {
    delivery.delivered().catch((error: unknown) => {
      reply.log.error(
        { event: 'download_not_removed', server, err: error },
        'a delivered copy could not be deleted'
      )
    })
  })
  const base = fields.get('base')
  if (base !== undefined) reply.header(CHANGES_HEADER, 'taken')
  if (base !== undefined && base !== '' && delivery.changes !== undefined) {
    await delivery.file.close()
    return reply.header('content-type', CHANGES_TYPE).send(JSON.stringify(delivery.changes))
  }
  return whole(delivery, name, reply)
}

function whole({ file, bytes }: Delivery, name: string, reply: FastifyReply): FastifyReply {
  return reply
    .header('content-disposition', `attachment; filename="${name}"`)
    .header('content-type', 'application/json')
    .header('content-length', bytes)
    .send(file.createReadStream())
}
