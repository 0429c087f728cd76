import fc from 'fast-check'
import t from 'tap'
import type { BanEvent, EventAction } from '../../../common/shapes.js'
import { AddressBook } from '../../../server/store/address-book.js'
import { numbersOf } from '../../../server/store/day-numbers.js'
import { bansOn, summarise } from '../../../server/store/day-summary.js'

const octet = fc.integer({ min: 0, max: 255 })
const dotted = fc.tuple(octet, octet, octet, octet).map(parts => parts.join('.'))
const anyText = fc.oneof(
  dotted,
  fc.ipV6(),
  fc.constantFrom('01.2.3.4', '1.2.3', '1.2.3.4.5', '256.1.1.1', '1..2.3', '')
)

t.test('the address book gives every spelling one number and gives the spelling back', t => {
  fc.assert(
    fc.property(fc.array(anyText, { maxLength: 200 }), texts => {
      const book = new AddressBook()
      const ids = new Map<string, number>()
      for (const text of texts) {
        const id = book.idOf(text)
        if ((ids.get(text) ?? id) !== id) return false
        ids.set(text, id)
      }
      return (
        book.size === ids.size &&
        [...ids].every(([text, id]) => book.textOf(id) === text && book.find(text) === id) &&
        book.find('198.51.100.250') === ids.get('198.51.100.250')
      )
    })
  )
  t.end()
})

t.test('the book grows past its first size, neighbours and all', t => {
  const book = new AddressBook()
  const all = Array.from({ length: 60_000 }, (_, n) => `${n & 255}.${(n >> 8) & 255}.0.1`)
  all.forEach((ip, n) => (n === book.idOf(ip) ? undefined : t.fail(ip)))
  t.equal(book.size, all.length)
  t.ok(all.every((ip, n) => book.find(ip) === n && book.textOf(n) === ip))
  t.equal(book.find('9.9.9.9'), undefined)
  t.end()
})

t.test('a day is summed up: counts, hours, jails, addresses and bursts', t => {
  const event = (time: string, action: EventAction, ip: string, jail: string): BanEvent => ({
    timestamp: `2026-03-01 ${time},000`,
    action,
    ip,
    jail
  })
  const events = [
    event('00:00:00', 'Ban', '192.0.2.1', 'sshd'),
    event('00:00:59', 'Ban', '192.0.2.1', 'sshd'),
    event('00:00:30', 'Ban', '2001:db8::1', 'sshd'),
    event('00:00:31', 'Ban', '192.0.2.2', 'nginx'),
    event('23:59:59', 'Ban', '192.0.2.2', 'sshd'),
    event('12:00:00', 'Unban', '192.0.2.3', 'sshd'),
    event('12:00:01', 'Increase Ban', '192.0.2.1', 'sshd'),
    event('12:00:02', 'Restore Ban', '192.0.2.4', 'sshd')
  ]
  const book = new AddressBook()
  book.idOf('198.51.100.1')
  const sum = summarise(numbersOf(events, book), book.size, 3)
  t.match(sum, { bans: 5, unbans: 1, increases: 1, restores: 1 })
  t.strictSame([sum.hours[0], sum.hours[12], sum.hours[23]], [4, 0, 1])
  t.strictSame(
    [...sum.jails],
    [
      ['sshd', { bans: 4, unbans: 1 }],
      ['nginx', { bans: 1, unbans: 0 }]
    ]
  )
  t.strictSame(sum.bursts, [{ jail: 'sshd', minute: '00:00', events: 3, addresses: 2 }])
  const bans = (ip: string) => bansOn(sum, book.find(ip) ?? -1)
  t.strictSame(['192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::1', '198.51.100.1'].map(bans), [
    2,
    2,
    0,
    1,
    undefined
  ])
  t.strictSame(summarise(numbersOf(events, book), book.size, Infinity).bursts, [])
  t.equal(summarise(numbersOf([], book), book.size, 1).ids.length, 0)
  t.end()
})

t.test('bursts are found in events that are out of order, and among more jails than any host has', t => {
  const book = new AddressBook()
  const events = Array.from({ length: 300_000 }, (_, n): BanEvent => {
    const two = (number: number) => String(number).padStart(2, '0')
    const burst = n % 100_000 === 0
    return {
      timestamp: `2026-03-01 ${burst ? '09:30' : `${two(n % 24)}:${two(n % 60)}`}:00,000`,
      action: 'Ban',
      ip: `192.0.2.${n % 7}`,
      jail: burst ? 'sshd' : `jail-${n}`
    }
  })
  const sum = summarise(numbersOf(events, book), book.size, 2)
  t.strictSame(sum.bursts, [{ jail: 'sshd', minute: '09:30', events: 3, addresses: 3 }])
  t.equal(sum.jails.size, events.length - 2)
  t.end()
})
