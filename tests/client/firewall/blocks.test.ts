import fc from 'fast-check'
import t from 'tap'
import { address, familyOf } from '../../../common/address.js'
import { Blocks } from '../../../client/firewall/blocks.js'

t.test('blocks are a set of addresses and networks', t => {
  // Few, so that some come again; with the highest and the lowest.
  const block = fc
    .constantFrom(
      ...['0.0.0.0', '255.255.255.255', '127.255.255.255', '128.0.0.0', '192.0.2.7', '192.0.2.0/24'],
      ...['0.0.0.0/0', '255.255.255.254/31', '::', '::/0', '2001:db8::7', '2001:db8::/32', 'ffff::1']
    )
    .map(address)
  const step = fc.tuple(fc.boolean(), block)
  fc.assert(
    fc.property(fc.array(step), step, (steps, [, asked]) => {
      const [blocks, model] = [new Blocks(), new Set<string>()]
      for (const [adds, one] of steps) {
        if (adds) t.equal(blocks.add(one), blocks)
        else t.equal(blocks.delete(one), model.has(one))
        if (adds) model.add(one)
        else model.delete(one)
      }
      const copy = new Blocks(blocks)
      t.strictSame([...blocks].sort(), [...model].sort())
      t.equal(blocks.size, model.size)
      t.equal(blocks.has(asked), model.has(asked))
      t.strictSame([...blocks.networks].sort(), [...model].filter(one => one.includes('/')).sort())
      const ofSix = [...blocks].filter(one => familyOf(one) === 6).length
      t.strictSame(blocks.sizes(), { 4: blocks.size - ofSix, 6: ofSix })
      blocks.delete(asked)
      t.strictSame([...copy].sort(), [...model].sort(), 'a copy is one of its own')
      t.strictSame([...new Blocks([...copy])].sort(), [...model].sort())
    })
  )
  t.end()
})
