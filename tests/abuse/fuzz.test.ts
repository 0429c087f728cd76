/* eslint-disable no-control-regex -- control characters are what is looked for */
import { readdir } from 'node:fs/promises'
import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { fromPhpClientFile } from '../../client/config/php-client.js'
import { readKeyValues } from '../../common/key-values.js'
import { IpsetFirewall } from '../../client/firewall/ipset.js'
import { tableText } from '../../client/firewall/nft-table.js'
import { NftablesFirewall } from '../../client/firewall/nftables.js'
import { parseUfwRules, ufwRulesText } from '../../client/firewall/ufw-rules.js'
import { parseLine } from '../../client/log/parse-line.js'
import { AddressSet, parseAddress, rangeOf, type Address } from '../../common/address.js'
import type { RunCommand } from '../../common/command.js'
import { ProductError } from '../../common/errors.js'
import { parseJson } from '../../common/json-file.js'
import { bombIn } from '../../common/json-bomb.js'
import { isEventsFileName, isListName, isServerName, jailOfList, listOfJail } from '../../common/names.js'
import { Blocklist, shapeCheck } from '../../common/shapes.js'
import { namesDataFile } from '../../server/data-files.js'
import { KINDS } from '../../server/store/kinds.js'
import { asFields, endpointApp, type Form } from '../support/endpoint.js'
import { ownFolder } from '../support/own-folder.js'

// The seed replays a failure: F2BR_FUZZ_SEED=… npx tap tests/abuse/fuzz.test.ts
const seed = Number(process.env.F2BR_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
t.comment(`seed ${seed}`)
const run = <T>(property: fc.IRawProperty<T>, numRuns: number) => fc.assert(property, { seed, numRuns })

const unhandled: unknown[] = []
process.on('unhandledRejection', reason => unhandled.push(reason))

const octet = fc.nat(300).map(String)
const byte = fc.nat(255).map(String)
const v4 = fc.tuple(byte, byte, byte, byte).map(parts => parts.join('.'))
const v6 = fc.ipV6()
const prefix = fc.oneof(
  fc.constant(''),
  fc.nat(140).map(bits => `/${bits}`),
  fc.string({ maxLength: 3 }).map(text => `/${text}`)
)
const nearly = fc.oneof(
  fc.tuple(fc.oneof(v4, v6), prefix).map(parts => parts.join('')),
  fc.array(octet, { minLength: 1, maxLength: 6 }).map(parts => parts.join('.')),
  fc.string({ maxLength: 70 }),
  fc.string({ unit: 'binary', maxLength: 70 }),
  fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdefxX:./%, {};@"\n\u0000')), maxLength: 45 }),
  fc.tuple(v4, fc.string({ maxLength: 10 })).map(parts => parts.join(''))
)
/** Addresses as the parser prints them. */
const address = fc
  .oneof(
    v4,
    v6,
    fc.tuple(v4, fc.nat(32)).map(([ip, bits]) => `${ip}/${bits}`),
    fc.tuple(v6, fc.nat(128)).map(([ip, bits]) => `${ip}/${bits}`)
  )
  .map(text => parseAddress(text))
  .filter(parsed => parsed !== undefined)

t.test('IP and CIDR: what is printed is canonical, and reads as itself', async t => {
  run(
    fc.property(nearly, text => {
      const parsed = parseAddress(text)
      if (parsed === undefined) return
      if (!/^[0-9a-f.:]+(\/\d{1,3})?$/.test(parsed)) throw new Error(`printed ${parsed}`)
      if (isIP(parsed.split('/')[0]!) === 0) throw new Error('no address')
      if (parseAddress(parsed) !== parsed) throw new Error('not canonical')
      const { first, last } = rangeOf(parsed)
      if (first > last) throw new Error('an empty range')
    }),
    20_000
  )
  t.pass('20,000 texts')
})

t.test('the log parser takes any line, and gives events that a day file takes', async t => {
  const jail = fc.string({ unit: 'binary', maxLength: 40 })
  const word = fc.constantFrom(
    'Ban',
    'Unban',
    'Found',
    'Increase Ban',
    'Restore Ban',
    'already banned',
    'Repeal Ban',
    'Reban'
  )
  const date = fc
    .tuple(fc.nat(9999), fc.nat(13), fc.nat(32), fc.nat(25), fc.nat(61))
    .map(
      ([y, m, d, h, s]) =>
        `${String(y).padStart(4, '0')}-${String(m).padStart(2, '0')}-${String(d).padStart(2, '0')} ${String(h).padStart(2, '0')}:00:${String(s).padStart(2, '0')},123`
    )
  const real = fc
    .tuple(date, jail, word, nearly)
    .map(([when, name, what, ip]) => `${when} fail2ban.actions        [812]: NOTICE  [${name}] ${what} ${ip}`)
  const line = fc.oneof(
    real,
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.tuple(real, fc.string({ unit: 'binary' })).map(parts => parts.join(''))
  )
  run(
    fc.property(line, text => {
      const { event } = parseLine(text, () => 0)
      if (event === undefined) return
      const wrong = KINDS.events.check([event])
      if (wrong !== undefined) throw new Error(wrong)
      if (parseAddress(event.ip) !== event.ip) throw new Error('not an address')
    }),
    10_000
  )
  t.pass('10,000 lines')
})

t.test('a line without end or of one character is read in no time that grows with its square', async t => {
  for (const unit of [
    '[',
    ']',
    ' ',
    'a',
    '[a] ',
    'Ban ',
    '[1] Ban ',
    '2026-03-01 10:00:00 ',
    '(',
    'x [812]: '
  ]) {
    const text = `2026-03-01 10:00:00,123 ${unit.repeat((64 * 1024) / unit.length)}`
    // 64 KB is the longest line that is looked at: were this quadratic, the runner's own limit would end it.
    for (let nr = 0; nr < 5; nr++) parseLine(text, () => 0)
  }
  t.pass()
})

t.test('config parsers: any text gives values or an error that says which line', async t => {
  const key = fc.constantFrom('CLIENT_USER', 'CLIENT_PASS', 'X', 'server', '__proto__', 'constructor')
  const value = fc.string({
    unit: fc.constantFrom(...Array.from('ab "\'$`\\{}()~;&|<>#=\u0000')),
    maxLength: 20
  })
  const file = fc.oneof(
    fc
      .array(
        fc.tuple(key, value).map(([name, text]) => `${name}=${text}`),
        { maxLength: 8 }
      )
      .map(lines => lines.join('\n')),
    fc.string({ unit: 'binary', maxLength: 300 })
  )
  run(
    fc.property(file, text => {
      try {
        const values = readKeyValues(text, 'a file')
        for (const one of fromPhpClientFile(values).values())
          if (typeof one !== 'string') throw new Error('no text')
      } catch (error) {
        if (!(error instanceof ProductError) || !error.message.includes('line')) throw error
      }
    }),
    10_000
  )
  t.pass('10,000 files')
})

t.test('JSON shapes: any value passes its check or is refused; none crashes or is too deep', async t => {
  const checks = Object.values(KINDS).map(kind => kind.check)
  const entry = fc.record(
    {
      ip: fc.oneof(nearly, fc.anything()),
      jail: fc.anything(),
      active: fc.anything(),
      expires: fc.anything(),
      tags: fc.anything(),
      lastModified: fc.anything()
    },
    { requiredKeys: [] }
  )
  run(
    fc.property(
      fc.oneof(
        fc.json({ maxDepth: 40 }),
        fc.array(entry, { maxLength: 5 }).map(value => JSON.stringify(value)),
        fc.string({ unit: 'binary' })
      ),
      text => {
        for (const check of checks) {
          try {
            JSON.stringify(parseJson(text, check))
          } catch (error) {
            if (!(error instanceof Error) || error instanceof RangeError || error instanceof TypeError)
              throw error
          }
        }
      }
    ),
    3000
  )
  run(
    fc.property(fc.jsonValue({ maxDepth: 12, depthSize: 'max' }), value => {
      const text = JSON.stringify(value)
      const depth = (one: unknown): number =>
        typeof one === 'object' && one !== null ? 1 + Math.max(0, ...Object.values(one).map(depth)) : 0
      if ((bombIn(text) !== undefined) !== depth(value) > 32) throw new Error('depth is not what is counted')
    }),
    1000
  )
  t.equal(shapeCheck(Blocklist)([{ ip: '192.0.2.1' }]), undefined)
})

t.test('names: what passes is one plain path segment, and jails map to lists one to one', async t => {
  const name = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: fc.constantFrom(...Array.from('./\\%2e-_aA\u0000')), maxLength: 20 })
  )
  run(
    fc.property(name, fc.constantFrom('', '.blocklist.json'), (stem, suffix) => {
      const text = stem + suffix
      for (const passes of [isServerName(text), isListName(text), isEventsFileName(text)]) {
        if (passes && (/[/\\\u0000-\u001f]/.test(text) || text === '.' || text === '..' || text.length > 255))
          throw new Error(text)
      }
      let list
      try {
        list = listOfJail(stem)
      } catch (error) {
        if (error instanceof ProductError) return
        throw error
      }
      if (jailOfList(list) !== stem || !isListName(list)) throw new Error('not reversible')
    }),
    10_000
  )
  t.pass('10,000 names')
})

t.test('URLs: whatever they are encoded like, data files are never named', async t => {
  const ending = fc.constantFrom('.json', '.config', '.htaccess', '.sh', '.env', '.jsonl')
  run(
    fc.property(fc.string({ maxLength: 10 }), ending, fc.nat(3), (stem, end, layers) => {
      let path = `/${encodeURIComponent(stem)}${end}`
      for (let nr = 0; nr < layers; nr++) path = path.replaceAll('%', '%25').replaceAll('.', '%2e')
      if (!namesDataFile(path)) throw new Error(path)
    }),
    5000
  )
  t.pass('5,000 paths')
})

const ADDRESS = String.raw`[0-9a-f.:]+(?:/\d{1,3})?`

/** Takes what a firewall's tool is given, and answers as if nothing were there yet. */
async function fed(
  make: (run: RunCommand) => { apply(add: Address[], remove: Address[]): Promise<unknown> },
  add: Address[]
): Promise<string> {
  let text = ''
  const firewall = make(async (program, args, options) => {
    text += options?.input ?? ''
    for (const word of args) if (!/^[\w./-]+$/.test(word)) throw new Error(`${program} ${word}`)
    if (program === 'nft' && args.includes('table'))
      return { code: 1, stdout: '', stderr: 'No such file or directory' }
    if (program.endsWith('-save'))
      return { code: 0, stdout: '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n', stderr: '' }
    return { code: 0, stdout: '', stderr: '' }
  })
  await firewall.apply(add, [])
  return text
}

t.test('text for nft, ipset and ufw holds only what the IP parser printed, and our own words', async t => {
  const empty = tableText(new Map())
  const wanted = fc.array(address, { maxLength: 30 }).map(list => [...new AddressSet(list).outermost()])
  await fc.assert(
    fc.asyncProperty(wanted, async all => {
      const nft = await fed(one => new NftablesFirewall(one), all)
      const bare = nft.replaceAll(/ elements = \{\n([^}]*)\n\}/g, (_, elements: string) => {
        for (const one of elements.split(',\n'))
          if (!all.includes(one as Address)) throw new Error(`nft: ${one}`)
        return ''
      })
      if (bare.replace(/^add table .*\ndelete table .*\n/, '') !== empty) throw new Error(`nft: ${bare}`)
      const some = all.filter(one => !one.endsWith('/0'))
      const ipset = await fed(one => new IpsetFirewall(one), some)
      for (const line of ipset.split('\n').filter(one => one.startsWith('add '))) {
        const found = new RegExp(`^add fail2ban-report-[46] (${ADDRESS})$`).exec(line)
        if (found === null || !some.includes(found[1] as Address)) throw new Error(`ipset: ${line}`)
      }
      const others = ipset
        .split('\n')
        .filter(
          one =>
            !/^(add fail2ban|create fail2ban-report-[46](-next)? hash:net family inet6? maxelem \d+ counters$|\*filter$|COMMIT$|$|-[ID] (INPUT|FORWARD) (1 )?-m set --match-set fail2ban-report-[46] src -j DROP$)/.test(
              one
            )
        )
      if (others.length > 0) throw new Error(`ipset: ${others.join()}`)
      for (const family of [4, 6] as const) {
        const rules = parseUfwRules('*filter\n### RULES ###\n\n### END RULES ###\nCOMMIT\n', family)!
        const text = ufwRulesText(rules, family, some, new Set())
        for (const line of text.split('\n').filter(one => one.startsWith('-A') || one.includes('tuple'))) {
          const found = new RegExp(
            `^(?:-A ufw6?-user-input -s (${ADDRESS}) -j DROP|### tuple ### deny any any (?:0\\.0\\.0\\.0/0|::/0) any (${ADDRESS}) in comment=[0-9a-f]+)$`
          ).exec(line)
          if (found === null || !some.includes((found[1] ?? found[2]) as Address))
            throw new Error(`ufw: ${line}`)
        }
      }
    }),
    { seed, numRuns: 1000 }
  )
  t.pass('1,000 batches')
})

t.test('multipart endpoints: any form gets a reply of the contract, and leaves temp empty', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const piece = fc.string({ unit: fc.constantFrom(...Array.from('ab-\r\n":;= \u0000[]{}.é')), maxLength: 30 })
  const fileName = fc.oneof(fc.constantFrom('sshd.blocklist.json', 'fail2ban-events-20260301.json'), piece)
  const content = fc.oneof(
    fc.json({ maxDepth: 3 }),
    piece,
    nearly.map(ip => JSON.stringify([{ ip }]))
  )
  const part = fc.oneof(
    fc.tuple(fc.constantFrom('file', 'file[]', 'username', 'x'), content, fileName),
    fc.tuple(fc.constantFrom('username', 'password', 'uuid', 'have', 'addresses', '__proto__'), piece)
  )
  const form = fc
    .tuple(fc.boolean(), fc.array(part, { maxLength: 4 }))
    .map(([known, parts]) => [...(known ? asFields() : []), ...parts] as Form)
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('index.php', 'update.php', 'download.php', 'syncback.php'),
      form,
      async (endpoint, parts) => {
        const reply = await at.post(endpoint, parts)
        if (reply.statusCode >= 500) throw new Error(`${reply.statusCode} ${reply.body}`)
        if (typeof reply.json<{ success: unknown }>().success !== 'boolean') throw new Error(reply.body)
        at.clock.now += 61_000
      }
    ),
    { seed, numRuns: 1000 }
  )
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.constantFrom(
        'multipart/form-data; boundary=x',
        'multipart/form-data',
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary="',
        'x'
      ),
      async (payload, type) => {
        const reply = await at.app.inject({
          method: 'POST',
          url: '/endpoint/syncback.php',
          payload: `--x\r\n${payload}`,
          headers: { 'content-type': type }
        })
        if (reply.statusCode >= 500) throw new Error(`${reply.statusCode} ${reply.body}`)
        at.clock.now += 61_000
      }
    ),
    { seed, numRuns: 500 }
  )
  t.equal((await at.app.inject({ url: '/healthz' })).statusCode, 200)
  const left = (await readdir(at.path('temp'), { recursive: true })).filter(name => name.endsWith('.upload'))
  t.strictSame(left, [])
})

t.test('nothing was rejected without anybody noticing', async t => {
  await new Promise(setImmediate)
  t.strictSame(unhandled, [])
})
