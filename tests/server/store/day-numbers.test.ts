import fc from 'fast-check'
import t from 'tap'
import { EVENT_ACTIONS, type BanEvent } from '../../../common/shapes.js'
import { AddressBook } from '../../../server/store/address-book.js'
import { numbersIn, numbersOf } from '../../../server/store/day-numbers.js'
import { KINDS } from '../../../server/store/kinds.js'
import { dayEvents, generator } from '../../support/fleet.js'

/** What the parser and the check make of the bytes; undefined when they refuse them. */
function parsed(bytes: Buffer): BanEvent[] | undefined {
  try {
    const value = JSON.parse(bytes.toString('utf8')) as BanEvent[]
    return KINDS.events.check(value) === undefined ? value : undefined
  } catch {
    return undefined
  }
}

/** The events that a day's numbers stand for. */
function told(numbers: ReturnType<typeof numbersOf>, book: AddressBook): unknown[] {
  return [...numbers.actions].map((action, at) => [
    EVENT_ACTIONS[action],
    numbers.minutes[at],
    book.textOf(numbers.ids[at]!),
    numbers.names[numbers.jails[at]!]
  ])
}

const read = (bytes: Buffer) => {
  const book = new AddressBook()
  const numbers = numbersIn(bytes, book)
  return numbers && told(numbers, book)
}
const wanted = (events: readonly BanEvent[]) => {
  const book = new AddressBook()
  return told(numbersOf(events, book), book)
}

const days = [1, 40].map(count => dayEvents(generator(count), '20260301', count, 24))
const spellings: [string, (events: readonly BanEvent[]) => string][] = [
  ['a row a line', events => `[\n${events.map(event => JSON.stringify(event)).join(',\n')}\n]\n`],
  ['without spaces', events => JSON.stringify(events)],
  ['as PHP and jq spell it', events => JSON.stringify(events, null, 4).replaceAll('\n', '\r\n')],
  ['with tabs', events => ` ${JSON.stringify(events, null, '\t')}\t`]
]

t.test('a day is read out of its bytes as the parser would read it', t => {
  for (const events of days) {
    for (const [name, spell] of spellings)
      t.strictSame(read(Buffer.from(spell(events))), wanted(events), name)
  }
  t.end()
})

t.test('what is spelled otherwise, or is wrong, is left to the parser', t => {
  const row = { timestamp: '2026-03-01 10:00:00,000', action: 'Ban', ip: '192.0.2.1', jail: 'sshd' }
  const good = JSON.stringify([row])
  t.ok(read(Buffer.from(good)))
  const others = [
    '',
    '[]',
    '[',
    'null',
    good.slice(0, -1),
    `${good}x`,
    `${good}\0`,
    good.replace(']', ',]'),
    good.replace('[', '[,'),
    `\ufeff${good}`,
    `[${good}]`,
    good.replace('[', '').replace(']', ''),
    good.replace('[', '{"0":').replace(']', '}'),
    ...[
      { ...row, via: 'callback' },
      { ip: row.ip, jail: row.jail, action: row.action, timestamp: row.timestamp },
      { ...row, jail: 'a"b' },
      { ...row, jail: 'a\\b' },
      { ...row, jail: 'größe' },
      { ...row, jail: '' },
      { ...row, jail: 'a'.repeat(257) },
      { ...row, ip: '' },
      { ...row, ip: '1'.repeat(65) },
      { ...row, ip: 1 },
      { ...row, action: 'ban' },
      { ...row, action: 'Ban ' },
      { ...row, timestamp: '2026-03-01 10:00:00,00' },
      { ...row, timestamp: '2026-03-01 10:00:00 ' },
      { ...row, timestamp: ' 2026-03-01 10:00:00' },
      { ...row, timestamp: '2026-03-01T10:00:00' },
      { ...row, timestamp: '2026-03-01 10:00:0a' },
      { ...row, timestamp: '' }
    ].map(one => JSON.stringify([row, one])),
    // Raw control characters and bytes that are no UTF-8 are no JSON.
    good.replace('sshd', 'ss\nhd'),
    good.replace('sshd', 'ss\x7fhd')
  ]
  for (const text of others) t.equal(read(Buffer.from(text)), undefined, text.slice(0, 120))
  t.equal(read(Buffer.from(good.replace('sshd', 'ss\xffhd'), 'latin1')), undefined)
  t.ok(read(Buffer.from(JSON.stringify([{ ...row, jail: 'a'.repeat(256), ip: '1'.repeat(64) }]))))
  t.end()
})

t.test('whatever becomes of the bytes, nothing is read that the parser refuses or reads otherwise', t => {
  const texts = days.flatMap(events => spellings.map(([, spell]) => Buffer.from(spell(events.slice(0, 3)))))
  const byte = fc.oneof(fc.constantFrom(...Buffer.from('[]{}",:\\ \n0d')), fc.nat(255))
  const change = fc.record({ at: fc.nat(), removed: fc.nat(3), put: fc.array(byte, { maxLength: 3 }) })
  fc.assert(
    fc.property(fc.constantFrom(...texts), fc.array(change, { maxLength: 3 }), (text, changes) => {
      const bytes = changes.reduce((all, { at, removed, put }) => {
        const from = at % all.length
        return Buffer.concat([all.subarray(0, from), Buffer.from(put), all.subarray(from + removed)])
      }, text)
      const found = read(bytes)
      const events = parsed(bytes)
      return (
        found === undefined ||
        (events !== undefined && JSON.stringify(found) === JSON.stringify(wanted(events)))
      )
    }),
    { numRuns: 3000 }
  )
  t.end()
})

t.test('jails whose names have the same hash stay apart', t => {
  // Aa and BB are the same to a hash by 31.
  const names = ['AaAa', 'BBBB', 'AaBB', 'BBAa', 'AaAa', 'BBBB']
  const events = names.map(jail => ({
    timestamp: '2026-03-01 10:00:00,000',
    action: 'Ban' as const,
    ip: '192.0.2.1',
    jail
  }))
  t.strictSame(read(Buffer.from(JSON.stringify(events))), wanted(events))
  t.end()
})
