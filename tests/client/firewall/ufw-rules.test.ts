import t from 'tap'
import { address } from '../../../common/address.js'
import { parseUfwRules, ufwRulesText } from '../../../client/firewall/ufw-rules.js'

const HEAD = '*filter\n:ufw-user-input - [0:0]\n### RULES ###\n'
const TAIL =
  '\n### END RULES ###\n\n### LOGGING ###\n-A ufw-after-logging-input -j LOG\n### END LOGGING ###\nCOMMIT\n'
const rule = (tuple: string, ...rules: string[]) =>
  `\n### tuple ### ${tuple}\n${rules.map(item => `${item}\n`).join('')}`
const comment = (text: string) => `comment=${Buffer.from(text).toString('hex')}`
const drop = (from: string) => `-A ufw-user-input -s ${from} -j DROP`
const deny = (from: string, more = '') => rule(`deny any any 0.0.0.0/0 any ${from} in${more}`, drop(from))
const OURS = ` ${comment('fail2ban-report')}`

t.test('only plain denials are read as blocks', async t => {
  const cases: [string, string | undefined][] = [
    [deny('192.0.2.7'), 'alike 192.0.2.7'],
    [deny('192.0.2.0/24'), 'alike 192.0.2.0/24'],
    [deny('192.0.2.7', ` ${comment('by hand')}`), 'alike 192.0.2.7'],
    [deny('192.0.2.7', OURS), 'own 192.0.2.7'],
    [rule('deny any any 0.0.0.0/0 any 0.0.0.0/0 in', '-A ufw-user-input -j DROP'), undefined],
    [rule('deny tcp 22 0.0.0.0/0 any 192.0.2.7 in', '-A x'), undefined],
    [rule('deny any any 10.0.0.1 any 192.0.2.7 in', '-A x'), undefined],
    [rule('deny any any 0.0.0.0/0 any 192.0.2.7 in_eth0', '-A x'), undefined],
    [rule('deny any any 0.0.0.0/0 any 192.0.2.7 out', '-A x'), undefined],
    [rule('deny_log any any 0.0.0.0/0 any 192.0.2.7 in', '-A x'), undefined],
    [rule('reject any any 0.0.0.0/0 any 192.0.2.7 in', '-A x'), undefined],
    [rule('route:deny any any 0.0.0.0/0 any 192.0.2.7 in', '-A x'), undefined],
    [rule(`allow any any 0.0.0.0/0 any 192.0.2.7 in${OURS}`, '-A x'), undefined]
  ]
  for (const [text, expected] of cases) {
    const found = parseUfwRules(HEAD + text + TAIL, 4)!.parts.find(part => part.block !== undefined)
    t.equal(found && `${found.own ? 'own' : 'alike'} ${found.block}`, expected, text)
  }
})

t.test('everything that is not ours is kept to the byte', async t => {
  const others =
    rule('allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in', '-A one', '-A two') + deny('192.0.2.9') + '\n# odd line\n'
  const text = HEAD + others + TAIL
  const rules = parseUfwRules(text, 4)!
  t.equal(ufwRulesText(rules, 4, [], new Set()), text)
  const own = [address('192.0.2.7'), address('10.0.0.0/8')]
  const changed = ufwRulesText(rules, 4, own, new Set())
  t.equal(changed, HEAD + deny('192.0.2.7', OURS) + deny('10.0.0.0/8', OURS) + others + TAIL)
  t.equal(
    ufwRulesText(parseUfwRules(changed, 4)!, 4, own, new Set()),
    changed,
    'a second edit changes nothing'
  )
  t.equal(ufwRulesText(parseUfwRules(changed, 4)!, 4, [], new Set()), text)
})

t.test('a removal takes the denials of others too', async t => {
  const rules = parseUfwRules(HEAD + deny('192.0.2.8') + deny('192.0.2.9') + TAIL, 4)!
  t.equal(ufwRulesText(rules, 4, [], new Set([address('192.0.2.9')])), HEAD + deny('192.0.2.8') + TAIL)
})

t.test('the rules file of a fresh installation, which has no end mark, can be edited', async t => {
  const text = '*filter\n:ufw6-user-input - [0:0]\n### RULES ###\nCOMMIT\n'
  const changed = ufwRulesText(parseUfwRules(text, 6)!, 6, [address('2001:db8::7')], new Set())
  t.match(
    changed,
    /### RULES ###\n\n### tuple ### deny any any ::\/0 any 2001:db8::7 in comment=\w+\n-A ufw6-user-input/
  )
  t.equal(ufwRulesText(parseUfwRules(changed, 6)!, 6, [], new Set()), text)
})

t.test('a file of another kind is not taken for rules', async t => {
  t.equal(parseUfwRules('*filter\nCOMMIT\n', 4), undefined)
})
