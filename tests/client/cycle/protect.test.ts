import { networkInterfaces } from 'node:os'
import t from 'tap'
import { guardOf, ownAddresses } from '../../../client/cycle/protect.js'
import { address, parseAddress } from '../../../common/address.js'

t.test("this host's own addresses are all there, in the one spelling, without zones", async t => {
  const own = ownAddresses()
  for (const { address: text } of Object.values(networkInterfaces()).flatMap(list => list ?? [])) {
    t.ok(own.includes(address(text.replace(/%.*$/, ''))), text)
  }
  t.strictSame(
    own.map(item => parseAddress(item)),
    own
  )
  t.ok(own.includes(address('127.0.0.1')), 'loopback is among them')
})

t.test('the guard protects what it is given, and loopback whatever it is given', async t => {
  const guard = guardOf([], [], [], { 4: 16, 6: 32 })
  t.strictSame(guard.widest, { 4: 16, 6: 32 })
  const hit = (text: string) =>
    guard.protect.find(({ addresses }) => addresses.overlapping(address(text)) !== undefined)?.reason
  t.equal(hit('127.8.9.10'), 'a loopback address')
  t.equal(hit('::1'), 'a loopback address')
  t.equal(hit('::'), 'not the address of anybody')
  t.equal(hit('0.0.0.0/8'), 'not the address of anybody')
  t.equal(hit('192.0.2.1'), undefined)
})
