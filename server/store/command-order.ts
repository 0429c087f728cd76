import type { CommandParams, CommandType } from '../../common/commands.js'
import { ProductError } from '../../common/errors.js'
import type { ServerName } from '../../common/names.js'
import type { AuditActor } from './audit-row.js'
import type { HostCommand } from './kinds.js'
import type { Store } from './store.js'

/**
 * Orders a command, unless it would lock somebody out: fail2ban's own `banip` heeds no ignoreip
 * (sync-contract.md §5.6). The host checks it once more.
 * @param asking the address of who asks, if known
 * @throws ProductError CONFLICT with the reason; as `CommandStore.add`
 */
export async function orderCommand(
  store: Store,
  server: ServerName,
  type: CommandType,
  params: CommandParams,
  actor: AuditActor,
  asking?: string
): Promise<HostCommand> {
  if (type === 'ban_ip' && params.ip !== undefined) {
    const why = (await store.guard.forHost(server, asking))(params.ip)
    if (why !== undefined) throw new ProductError('CONFLICT', why.words)
  }
  return store.commands.add(server, type, { ...params }, actor)
}
