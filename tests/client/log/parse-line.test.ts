import fc from 'fast-check'
import t from 'tap'
import { parseLine } from '../../../client/log/parse-line.js'

// 1 March 2026, noon, in whatever zone the tests run.
const clock = () => new Date(2026, 2, 1, 12).getTime()
const FILE = '2026-03-01 11:59:58,123 fail2ban.actions        [4711]: NOTICE  '
const FILTER = '2026-03-01 11:59:58,123 fail2ban.filter         [4711]: INFO    '
const OBSERVER = '2026-03-01 11:59:58,123 fail2ban.observer       [4711]: NOTICE  '

/** `timestamp | action | ip | jail`, `no address`, or nothing. */
function read(line: string, at = clock): string {
  const parsed = parseLine(line, at)
  if (parsed.event === undefined) return parsed.noAddress ? 'no address' : ''
  const { timestamp, action, ip, jail } = parsed.event
  return [timestamp, action, ip, jail].join(' | ')
}
const event = (rest: string) => `2026-03-01 11:59:58,123 | ${rest}`

const actions: [what: string, line: string, expected: string][] = [
  ['ban', `${FILE}[sshd] Ban 192.0.2.7`, event('Ban | 192.0.2.7 | sshd')],
  ['unban', `${FILE}[sshd] Unban 192.0.2.7`, event('Unban | 192.0.2.7 | sshd')],
  ['restored ban', `${FILE}[sshd] Restore Ban 192.0.2.7`, event('Restore Ban | 192.0.2.7 | sshd')],
  [
    'longer ban',
    `${OBSERVER}[sshd] Increase Ban 192.0.2.7 (2 # 3h -> 2026-03-01 13:59:58)`,
    event('Increase Ban | 192.0.2.7 | sshd')
  ],
  [
    'permanent ban',
    `${OBSERVER}[sshd] Increase Ban 192.0.2.7 (3 # permanent -> infinite)`,
    event('Increase Ban | 192.0.2.7 | sshd')
  ],
  [
    'longer ban, from the part that bans',
    `${FILE}[sshd] Increase Ban 192.0.2.7`,
    event('Increase Ban | 192.0.2.7 | sshd')
  ],
  ['a ban that the observer tells of', `${OBSERVER}[sshd] Ban 192.0.2.7`, ''],
  ['a longer ban that the filter tells of', `${FILTER}[sshd] Increase Ban 192.0.2.7`, ''],
  [
    'what goes before a longer ban',
    `${OBSERVER}[sshd] IP 192.0.2.7 is bad: 1 # last 2026-03-01 11:59:50 - incr 3s to 3h`,
    ''
  ],
  [
    'longer ban without more',
    `${FILE}[sshd] Increase Ban 192.0.2.7`,
    event('Increase Ban | 192.0.2.7 | sshd')
  ],
  ['ban repealed at a stop', `${FILE}[sshd] Repeal Ban 192.0.2.7`, event('Unban | 192.0.2.7 | sshd')],
  ['banned again on repair', `${FILE}[sshd] Reban 192.0.2.7, action 'nftables'`, ''],
  ['banned again, bare', `${FILE}[sshd] Reban 192.0.2.7`, ''],
  ['already banned', `${FILE}[sshd] 192.0.2.7 already banned`, ''],
  ['flush', `${FILE}[sshd] Flush ticket(s) with nftables`, ''],
  ['found', `${FILTER}[sshd] Found 192.0.2.7 - 2026-03-01 11:59:58`, ''],
  ['found, old form', `${FILTER}[sshd] Found 192.0.2.7`, ''],
  [
    'found by the observer',
    `${OBSERVER}[sshd] Found 192.0.2.7, bad - 2026-03-01 11:59:58, 1 # -> 2.0, Ban`,
    ''
  ],
  ['ignored', `${FILTER}[sshd] Ignore 192.0.2.7 by ip`, ''],
  ['a word more', `${FILE}[sshd] Banned 192.0.2.7`, ''],
  ['lower case', `${FILE}[sshd] ban 192.0.2.7`, ''],
  ['no address at all', `${FILE}[sshd] Ban `, ''],
  ['empty line', '', '']
]

const addresses: typeof actions = [
  ['IPv6', `${FILE}[sshd] Ban 2001:db8::1`, event('Ban | 2001:db8::1 | sshd')],
  ['IPv6, long', `${FILE}[sshd] Ban 2001:0DB8:0:0:0:0:0:1`, event('Ban | 2001:db8::1 | sshd')],
  ['IPv4 in IPv6', `${FILE}[sshd] Ban ::ffff:192.0.2.7`, event('Ban | 192.0.2.7 | sshd')],
  ['network', `${FILE}[sshd] Ban 203.0.113.0/25`, event('Ban | 203.0.113.0/25 | sshd')],
  ['IPv6 network', `${FILE}[sshd] Unban 2001:db8:1::/48`, event('Unban | 2001:db8:1::/48 | sshd')],
  ['an id', `${FILE}[sshd] Ban alice@example.net`, 'no address'],
  ['an id with blanks', `${FILE}[sshd] Ban alice smith`, 'no address'],
  ['an id that begins like an address', `${FILE}[sshd] Ban 192.0.2.7 alice`, 'no address'],
  [
    'an id with a longer ban',
    `${FILE}[sshd] Increase Ban alice (2 # 2h -> 2026-03-01 13:59:58)`,
    'no address'
  ],
  ['octal look-alike', `${FILE}[sshd] Ban 0192.0.2.7`, 'no address'],
  ['a zone', `${FILE}[sshd] Ban fe80::1%eth0`, 'no address']
]

const jails: typeof actions = [
  [
    'blanks, dots, umlaut, underscore',
    `${FILE}[Odd jail.näme_1] Ban 192.0.2.7`,
    event('Ban | 192.0.2.7 | Odd jail.näme_1')
  ],
  ['digits only', `${FILE}[2222] Ban 192.0.2.7`, event('Ban | 192.0.2.7 | 2222')],
  ['named like a level', `${FILE}[NOTICE] Ban 192.0.2.7`, event('Ban | 192.0.2.7 | NOTICE')],
  ['Chinese', `${FILE}[监狱] Ban 192.0.2.7`, event('Ban | 192.0.2.7 | 监狱')],
  ['an opening bracket', `${FILE}[a[b] Ban 192.0.2.7`, event('Ban | 192.0.2.7 | a[b')],
  ['longer than a day file takes', `${FILE}[${'x'.repeat(257)}] Ban 192.0.2.7`, ''],
  ['empty', `${FILE}[] Ban 192.0.2.7`, '']
]

const JOURNAL = 'fail2ban-server[12]: [sshd] Ban 192.0.2.7'
const second = (rest = ',000') => `2026-03-01 11:59:58${rest} | Ban | 192.0.2.7 | sshd`
const formats: typeof actions = [
  ['0.8', '2026-03-01 11:59:58,123 fail2ban.actions: WARNING [sshd] Ban 192.0.2.7', second(',123')],
  ['0.9', '2026-03-01 11:59:58,123 fail2ban.actions[4711]: NOTICE [sshd] Ban 192.0.2.7', second(',123')],
  ['syslog', 'Mar  1 11:59:58 web fail2ban.actions[123]: NOTICE [sshd] Ban 192.0.2.7', second()],
  [
    'syslog, padded',
    'Mar  1 11:59:58 web fail2ban.actions        [123]: NOTICE  [sshd] Ban 192.0.2.7',
    second()
  ],
  [
    'syslog, RFC 3339',
    '2026-03-01T11:59:58.123456+01:00 web fail2ban.actions[123]: NOTICE [sshd] Ban 192.0.2.7',
    second(',123')
  ],
  ['syslog, UTC', '2026-03-01T11:59:58Z web fail2ban.actions[123]: NOTICE [sshd] Ban 192.0.2.7', second()],
  ['syslog, another logger', 'Mar  1 11:59:58 web fail2ban.filter[123]: NOTICE [sshd] Ban 192.0.2.7', ''],
  [
    'syslog, a tag before the logger',
    'Mar  1 11:59:58 web fail2ban-server[12]: fail2ban.actions [12]: NOTICE [sshd] Ban 192.0.2.7',
    second()
  ],
  ['journal, short', `Mar 01 11:59:58 web ${JOURNAL}`, second()],
  ['journal, short-precise', `Mar 01 11:59:58.123456 web ${JOURNAL}`, second(',123')],
  ['journal, short-iso', `2026-03-01T11:59:58+0100 web ${JOURNAL}`, second()],
  ['journal, short-full', `Sun 2026-03-01 11:59:58 CET web ${JOURNAL}`, second()],
  [
    'journal, with-unit',
    'Sun 2026-03-01 11:59:58 UTC web fail2ban.service[12]: [sshd] Ban 192.0.2.7',
    second()
  ],
  ['journal, a host named fail2ban.lan', `Mar 01 11:59:58 fail2ban.lan ${JOURNAL}`, second()],
  ['journal, a host named fail2ban-web', `Mar 01 11:59:58 fail2ban-web ${JOURNAL}`, second()],
  ['custom, message only', '2026-03-01 11:59:58 [sshd] Ban 192.0.2.7', second()],
  ['custom, ISO date, message only', '2026-03-01T11:59:58 [sshd] Ban 192.0.2.7', second()],
  ['custom, one digit of milliseconds', '2026-03-01 11:59:58.5 NOTICE [sshd] Ban 192.0.2.7', second(',500')],
  [
    'custom, level in brackets',
    '2026-03-01 11:59:58,123 [NOTICE] fail2ban.actions: [sshd] Ban 192.0.2.7',
    second(',123')
  ],
  [
    'custom, logger in brackets',
    '2026-03-01 11:59:58,123 [fail2ban.actions] [4711] [sshd] Ban 192.0.2.7',
    second(',123')
  ],
  [
    'custom, another logger in brackets',
    '2026-03-01 11:59:58,123 [fail2ban.filter] [sshd] Ban 192.0.2.7',
    ''
  ],
  [
    'custom, thread and place',
    '2026-03-01 11:59:58,123 f2b/a.sshd actions.py:422 NOTICE [sshd] Ban 192.0.2.7',
    second(',123')
  ],
  ['carriage return', `${FILE}[sshd] Ban 192.0.2.7\r`, second(',123')],
  ['no date', 'fail2ban.actions[123]: NOTICE [sshd] Ban 192.0.2.7', ''],
  ['no such day', '2026-02-30 11:59:58,123 fail2ban.actions [1]: NOTICE [sshd] Ban 192.0.2.7', ''],
  ['no such month', '2026-13-01 11:59:58,123 fail2ban.actions [1]: NOTICE [sshd] Ban 192.0.2.7', ''],
  ['no such hour', '2026-03-01 24:59:58,123 fail2ban.actions [1]: NOTICE [sshd] Ban 192.0.2.7', ''],
  ['no such syslog day', 'Feb 30 11:59:58 web fail2ban.actions[1]: NOTICE [sshd] Ban 192.0.2.7', ''],
  ['no such syslog month', 'Foo 12 11:59:58 web fail2ban.actions[1]: NOTICE [sshd] Ban 192.0.2.7', '']
]

// What someone who chooses a user name or a request can put into a line.
const hostile: typeof actions = [
  [
    'in an id the observer tells of, jail of digits',
    `${OBSERVER}[2222] Found x [sshd] Increase Ban 9.9.9.9, bad - 2026-03-01 11:59:58, 1 # -> 2.0`,
    ''
  ],
  [
    'in an id that is bad, jail of digits',
    `${OBSERVER}[2222] IP x [sshd] Increase Ban 9.9.9.9 is bad: 1 # last 2026-03-01 11:59:50 - incr 3s to 3h`,
    'no address'
  ],
  ['in a found id', `${FILTER}[sshd] Found x [sshd] Ban 9.9.9.9`, ''],
  ['in a found id, jail of digits', `${FILTER}[2222] Found x [sshd] Ban 9.9.9.9`, ''],
  ['in a found id, no logger, jail of digits', '2026-03-01 11:59:58 [2222] Found x [sshd] Ban 9.9.9.9', ''],
  ['in a banned id', `${FILE}[sshd] Ban x [sshd] Ban 9.9.9.9`, 'no address'],
  ['in an id that is banned again', `${FILE}[2222] Reban x [sshd] Ban 9.9.9.9`, ''],
  ['in an id that was banned', `${FILE}[2222] x [sshd] Ban 9.9.9.9 already banned`, 'no address'],
  ['in an ignored id', `${FILTER}[sshd] Ignore x [sshd] Ban 9.9.9.9 by ip`, ''],
  [
    'in the output of a command',
    "2026-03-01 11:59:58,123 fail2ban.utils          [4711]: ERROR   7f3a -- stderr: 'x [sshd] Ban 9.9.9.9",
    ''
  ],
  [
    'in the output of a command, no logger',
    '2026-03-01 11:59:58 ERROR 7f3a -- stderr: x [sshd] Ban 9.9.9.9',
    ''
  ],
  ['a whole line inside a line', `${FILTER}[sshd] Found ${FILE}[sshd] Ban 9.9.9.9`, ''],
  ["another program's line", 'Mar  1 11:59:58 web sshd[5]: Invalid user [sshd] Ban 9.9.9.9', ''],
  [
    "another program's line naming the logger",
    'Mar  1 11:59:58 web sshd[5]: Invalid user fail2ban.actions [sshd] Ban 9.9.9.9',
    ''
  ],
  [
    "another program's line without a pid",
    'Mar  1 11:59:58 web app: user fail2ban.actions: [sshd] Ban 9.9.9.9',
    ''
  ],
  ["another program's journal line", 'Sun 2026-03-01 11:59:58 CET web sshd[5]: user [sshd] Ban 9.9.9.9', ''],
  ['separators of other kinds', `${FILTER}[sshd] Found x\u2028${FILE}[sshd] Ban 9.9.9.9`, ''],
  ['an address and a tail', `${FILE}[sshd] Ban 9.9.9.9; reboot`, 'no address']
]

for (const [group, rows] of Object.entries({ actions, addresses, jails, formats, hostile })) {
  t.test(`lines are read: ${group}`, async t => {
    for (const [what, line, expected] of rows) t.equal(read(line), expected, what)
  })
}

t.test('a syslog date gets the latest year in which it is not in the future', async t => {
  const year = (date: string, now: Date) =>
    read(`${date} 10:00:00 web fail2ban.actions[1]: NOTICE [sshd] Ban 192.0.2.7`, () => now.getTime()).slice(
      0,
      10
    )
  t.equal(year('Dec 31', new Date(2026, 0, 1, 0, 5)), '2025-12-31')
  t.equal(year('Jan  1', new Date(2026, 0, 1, 12)), '2026-01-01')
  t.equal(year('Jan  1', new Date(2025, 11, 31, 23, 59)), '2026-01-01', 'clocks may differ by a little')
  t.equal(year('Mar  9', new Date(2026, 2, 1, 12)), '2025-03-09')
  t.equal(year('Feb 29', new Date(2027, 2, 5)), '2024-02-29')
})

t.test('no line makes the parser throw, or makes an event that a day file would refuse', async t => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      FILE,
      FILTER,
      '[sshd] ',
      '[',
      ']',
      ' Ban ',
      'Unban ',
      'Increase Ban ',
      '192.0.2.7',
      '2001:db8::1',
      '[12]: ',
      'Mar  1 11:59:58 '
    )
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), pieces => {
      const { event: found } = parseLine(pieces.join(''), clock)
      if (found === undefined) return
      t.match(found.timestamp, /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d{3}$/)
      t.ok(found.ip.length <= 64 && found.jail.length > 0 && found.jail.length <= 256)
    }),
    { numRuns: 2000, seed: 1 }
  )
})

t.test('a long hostile line is read in no time', async t => {
  for (const text of [
    '[1]'.repeat(20_000),
    '[',
    'Ban [x] '.repeat(8000),
    '] Ban '.repeat(8000),
    ' '.repeat(64_000)
  ]) {
    const started = performance.now()
    read(FILE + text)
    read(`Mar  1 11:59:58 ${text}`)
    t.ok(performance.now() - started < 3000)
  }
})
