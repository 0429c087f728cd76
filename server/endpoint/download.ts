import type { FastifyInstance, FastifyReply } from 'fastify'
import { ProductError } from '../../common/errors.js'
import type { ServerName } from '../../common/names.js'

/**
 * download.php: delivers a handed-out copy and deletes it once all of it has been sent (sync-contract.md §3).
 * @throws ProductError FILE_PARAMETER, NOT_IN_DOWNLOAD
 */
export async function deliver(
  app: FastifyInstance,
  server: ServerName,
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
  return reply
    .header('content-disposition', `attachment; filename="${name}"`)
    .header('content-type', 'application/json')
    .header('content-length', delivery.bytes)
    .send(delivery.file.createReadStream())
}
