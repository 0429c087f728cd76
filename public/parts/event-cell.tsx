import { clockFace, stampOf, ACTIONS, type EventTable } from '../data/event-table.js'
import { markOf } from '../data/event-filter.js'
import { dayName, t } from '../state/i18n.js'
import { href } from '../state/route.js'
import { MarkSign } from './mark.js'

/** One cell of the event table. What came from a log is set as text. */
export function EventCell({
  table,
  row,
  column,
  withDay
}: {
  table: EventTable
  row: number
  column: string
  withDay: boolean
}) {
  switch (column) {
    case 'time':
      return (
        <span title={stampOf(table, row)}>
          {withDay && <span class="quiet">{dayName(table.days[table.day[row] ?? 0] ?? '', 'short')} </span>}
          {clockFace(table.time[row] ?? 0)}
        </span>
      )
    case 'action': {
      const action = ACTIONS[table.action[row] ?? 0] ?? 'Ban'
      return <span class={`action ${action.replace(' ', '-').toLowerCase()}`}>{t(`action.${action}`)}</span>
    }
    case 'mark':
      return <MarkSign mark={markOf(table, row)} increases={table.increases[row] ?? 0} />
    case 'ip': {
      const ip = table.ips[table.ip[row] ?? 0] ?? ''
      return (
        <a class="ip" tabIndex={-1} title={ip} href={href('address', { ip })}>
          {ip}
        </a>
      )
    }
    case 'jail': {
      const jail = table.jails[table.jail[row] ?? 0] ?? ''
      return <span title={jail}>{jail}</span>
    }
    default:
      return <span>{table.servers[table.server[row] ?? 0]}</span>
  }
}
