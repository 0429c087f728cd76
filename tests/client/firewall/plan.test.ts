import t from 'tap'
import { AddressSet, address } from '../../../common/address.js'
import { Blocks } from '../../../client/firewall/blocks.js'
import { inForceCheck, planFirewall } from '../../../client/firewall/plan.js'
import type { InForce } from '../../../client/firewall/types.js'

const list = (text: string) => text.split(' ').filter(Boolean).map(address)
const inForce = (own: string, alike = ''): InForce => ({
  own: new Blocks(list(own)),
  alike: new Set(list(alike))
})

const cases: {
  name: string
  wanted?: string
  own?: string
  alike?: string
  ended?: string
  add?: string
  remove?: string
}[] = [
  { name: 'nothing wanted and nothing held needs nothing' },
  { name: 'what is missing is added', wanted: '192.0.2.1 2001:db8::1', add: '192.0.2.1 2001:db8::1' },
  { name: 'what is held stays', wanted: '192.0.2.1', own: '192.0.2.1' },
  { name: 'own blocks nobody wants go', own: '192.0.2.1', remove: '192.0.2.1' },
  { name: 'a wider member stands for narrower ones', wanted: '192.0.2.0/24 192.0.2.1', add: '192.0.2.0/24' },
  {
    name: 'a narrow block gives way to a wider one',
    wanted: '192.0.2.0/24 192.0.2.1',
    own: '192.0.2.1',
    add: '192.0.2.0/24',
    remove: '192.0.2.1'
  },
  {
    name: 'a wide block gives way to what is left of it',
    wanted: '192.0.2.1 192.0.2.64/26',
    own: '192.0.2.0/24',
    add: '192.0.2.1 192.0.2.64/26',
    remove: '192.0.2.0/24'
  },
  { name: "others' blocks count as in force", wanted: '192.0.2.1', alike: '192.0.2.0/24' },
  { name: "others' blocks stay when no list speaks of them", alike: '192.0.2.1' },
  {
    name: "others' blocks go when a list asks for their end",
    alike: '192.0.2.1',
    ended: '192.0.2.1',
    remove: '192.0.2.1'
  },
  {
    name: "others' blocks stay when another list wants them",
    wanted: '192.0.2.1',
    alike: '192.0.2.1',
    ended: '192.0.2.1'
  },
  { name: 'the end of one address is not the end of a network', alike: '192.0.2.0/24', ended: '192.0.2.1' },
  {
    name: 'an ended block of others goes even when a wider one is wanted, which is then our own',
    wanted: '192.0.2.0/24',
    alike: '192.0.2.1',
    ended: '192.0.2.1',
    add: '192.0.2.0/24',
    remove: '192.0.2.1'
  },
  {
    name: 'an ended wide block of others leaves nothing wanted uncovered',
    wanted: '192.0.2.1',
    alike: '192.0.2.0/24',
    ended: '192.0.2.0/24',
    add: '192.0.2.1',
    remove: '192.0.2.0/24'
  },
  {
    name: 'the families are told apart',
    wanted: '::1:2:3',
    own: '0.0.0.0/0',
    add: '::1:2:3',
    remove: '0.0.0.0/0'
  }
]

for (const { name, wanted = '', own = '', alike = '', ended = '', add = '', remove = '' } of cases) {
  t.test(name, async t => {
    const [all, ends] = [new AddressSet(list(wanted)), new AddressSet(list(ended))]
    t.same(planFirewall(all, inForce(own, alike), ends), { add: list(add), remove: list(remove) })
  })
}

t.test('what one block covers whole is in force', async t => {
  const check = inForceCheck(inForce('192.0.2.0/25 2001:db8::/64', '192.0.2.128/25'))
  t.ok(check(address('192.0.2.1')))
  t.ok(check(address('192.0.2.129')))
  t.ok(check(address('2001:db8::7')))
  t.notOk(check(address('192.0.3.1')))
  t.notOk(check(address('2001:db8:1::7')))
  t.notOk(inForceCheck(inForce(''))(address('192.0.2.1')))
})
