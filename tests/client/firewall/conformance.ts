import { deepEqual } from 'node:assert/strict'
import type { Test } from 'tap'
import { address, type Address } from '../../../common/address.js'
import type { RunCommand } from '../../../common/command.js'
import { ProductError } from '../../../common/errors.js'
import type { Firewall, InForce } from '../../../client/firewall/types.js'
import { connects, createNamespace, joinByVeth, listen, type Namespace } from '../../support/netns.js'

/** A firewall under test and how to disturb it. */
export interface Site {
  make(run: RunCommand): Firewall
  host: Namespace
  /** What stands beside our own entries, as text: must never change. */
  foreign(): Promise<string>
  /** Those of them that somebody may do while a change is under way; ufw's own commands wait for it. */
  meanwhile: Record<string, () => Promise<unknown>>
  /** Takes a block out of the firewall as somebody would by hand. */
  steal(block: Address): Promise<unknown>
  /** Packets that a block dropped, as the tool shows them. */
  packets(block: Address): Promise<number>
  /** Damages to the frame. After each, nothing counts as in force until it is mended. */
  damages: Record<string, () => Promise<unknown>>
}

const PORT = 7777
const all = (...texts: string[]) => texts.map(text => address(text))
const sorted = (found: InForce) => [...found.own].sort()

/** Writes of the tools, recognised by their arguments. */
const isLoad = (program: string, args: readonly string[]) =>
  (args.includes('-f') && !args.includes('-c')) || args[0] === 'restore' || program.endsWith('-restore')

/** What every backend must do, on real parts. */
export async function conforms(t: Test, site: Site): Promise<void> {
  const { host, damages } = site
  let loads = 0
  const firewall = site.make((program, args, options) => {
    if (isLoad(program, args)) loads++
    return host.run(program, args, options)
  })
  const readByAnother = async () => sorted(await site.make(host.run).list())
  /** Every change has to tell what a list would show. */
  const apply = async (add: Address[], remove: Address[]) => {
    const told = await firewall.apply(add, remove)
    if (told !== undefined) deepEqual(sorted(told), await readByAnother())
  }
  const start = async (...blocks: Address[]) => {
    await firewall.clear()
    await apply(blocks, [])
  }

  await t.test('nothing is in force at the start', async t => {
    const found = await firewall.list()
    t.same([...found.own, ...found.alike], [])
  })

  await t.test('what is applied is read back: IPv4, IPv6 and networks', async t => {
    const blocks = all('192.0.2.7', '198.51.100.0/24', '2001:db8::7', '2001:db8:1::/48', '128.0.0.0/2')
    await start(...blocks)
    t.same(sorted(await firewall.list()), [...blocks].sort())
  })

  await t.test('a removal ends just that block', async t => {
    await start(...all('192.0.2.7', '192.0.2.9', '2001:db8::7', '2001:db8::9'))
    await apply([], all('192.0.2.7', '2001:db8::9'))
    t.same(sorted(await firewall.list()), ['192.0.2.9', '2001:db8::7'])
  })

  await t.test('neighbours stay blocks of their own', async t => {
    const blocks = all(
      '10.1.0.0/16',
      '10.2.0.0/16',
      '192.0.2.6',
      '192.0.2.7',
      '192.0.2.8',
      '2001:db8::6',
      '2001:db8::7'
    )
    await start(...blocks)
    t.same(sorted(await firewall.list()), [...blocks].sort())
    await apply(all('192.0.2.9'), all('192.0.2.7', '2001:db8::6'))
    t.same(sorted(await firewall.list()), [
      '10.1.0.0/16',
      '10.2.0.0/16',
      '192.0.2.6',
      '192.0.2.8',
      '192.0.2.9',
      '2001:db8::7'
    ])
  })

  await t.test('a wide network gives way to narrow ones in one batch, and back', async t => {
    const [wide, narrow] = [
      all('10.0.0.0/8', '2001:db8::/32'),
      all('10.0.0.0', '10.7.0.0/16', '10.255.255.255', '2001:db8::5')
    ]
    await start(...wide)
    await apply(narrow, wide)
    t.same(sorted(await firewall.list()), [...narrow].sort())
    await apply(wide, narrow)
    t.same(sorted(await firewall.list()), [...wide].sort())
  })

  await t.test('repeating a batch is harmless, and nothing is written when nothing changes', async t => {
    await start(...all('192.0.2.7', '2001:db8::7'))
    await apply(all('192.0.2.7', '2001:db8::7'), all('192.0.2.99', '2001:db8::99'))
    t.same(sorted(await firewall.list()), ['192.0.2.7', '2001:db8::7'])
    const before = loads
    await apply([], [])
    t.equal(loads, before)
  })

  await t.test('10,000 addresses come and go in one call', async t => {
    await start()
    const blocks = Array.from({ length: 10_000 }, (_, at) =>
      address(`11.${at >> 8}.${at & 255}.${(at * 7) & 255}`)
    )
    await apply(blocks, [])
    t.equal((await firewall.list()).own.size, 10_000)
    await apply(all('192.0.2.7'), blocks.slice(0, 5_000))
    const { own } = await firewall.list()
    t.equal(own.size, 5_001)
    t.ok(own.has(address('192.0.2.7')))
    await apply([], [...own])
    t.equal((await firewall.list()).own.size, 0)
  })

  await t.test('a batch the tool refuses changes nothing', async t => {
    const foreign = await site.foreign()
    const failing = site.make((program, args, options) => {
      const input = options?.input?.replaceAll('2001:db8::bad', '2001:db8::nope')
      return host.run(program, args, input === undefined ? options : { ...options, input })
    })
    await start(...all('192.0.2.7', '2001:db8::7'))
    const batch = all('192.0.2.8', '192.0.2.9', '2001:db8::8', '2001:db8::bad')
    await t.rejects(failing.apply(batch, all('192.0.2.7')), { name: 'ProductError' })
    t.same(sorted(await firewall.list()), ['192.0.2.7', '2001:db8::7'])
    await apply([], [])
    t.same(sorted(await firewall.list()), ['192.0.2.7', '2001:db8::7'])
    t.equal(await site.foreign(), foreign)
  })

  for (const [name, damage] of Object.entries(damages)) {
    await t.test(`${name}: the blocks count as gone, and an empty batch mends it`, async t => {
      await start(...all('192.0.2.7', '2001:db8::7', '10.0.0.0/8'))
      await damage()
      const foreign = await site.foreign()
      t.not((await firewall.list()).own.size, 3, 'the damage is seen')
      await apply([], [])
      await apply(all('192.0.2.7', '2001:db8::7', '10.0.0.0/8'), [])
      t.same(sorted(await firewall.list()), ['10.0.0.0/8', '192.0.2.7', '2001:db8::7'])
      const before = loads
      await apply([], [])
      t.equal(loads, before, 'it was mended once')
      t.equal(await site.foreign(), foreign)
    })
  }

  /** One change after a list, something being done right after the tool has taken it. */
  const disturbed = async (add: Address[], remove: Address[], disturb: () => Promise<unknown>) => {
    let done = false
    const hindered = site.make(async (program, args, options) => {
      const result = await host.run(program, args, options)
      if (isLoad(program, args) && !done) {
        done = true
        await disturb()
      }
      return result
    })
    await hindered.list()
    try {
      return sorted((await hindered.apply(add, remove))!)
    } catch (error) {
      // A change that fails says nothing.
      if (error instanceof ProductError) return []
      throw error
    } finally {
      t.ok(done)
    }
  }

  const disturbances: Record<string, () => Promise<unknown>> = {
    ...site.meanwhile,
    'a new block is taken away': () => site.steal(address('192.0.2.8')),
    'all new blocks are taken away': async () => {
      for (const block of all('192.0.2.8', '2001:db8::8', '172.16.0.0/12')) await site.steal(block)
    }
  }
  for (const [name, disturb] of Object.entries(disturbances)) {
    await t.test(`${name} before it is read back: what is said to be in force is so`, async t => {
      await start(...all('192.0.2.7', '2001:db8::7', '10.0.0.0/8'))
      const told = await disturbed(
        all('192.0.2.8', '2001:db8::8', '172.16.0.0/12'),
        all('192.0.2.7', '10.0.0.0/8'),
        disturb
      )
      const inForce = new Set(await readByAnother())
      t.same(
        told.filter(block => !inForce.has(block)),
        []
      )
      await firewall.clear()
    })
  }

  await t.test('packets of blocked addresses are dropped and counted, those of others pass', async t => {
    const outside = await createNamespace('outside')
    t.teardown(() => outside.destroy())
    const theirs = ['10.9.0.2/16', '10.9.0.3/16', '10.9.1.4/16', 'fd09::2/64', 'fd09::3/64']
    await joinByVeth(host, ['10.9.0.1/16', 'fd09::1/64'], outside, theirs)
    t.teardown(await listen(host, PORT))
    const reach = async () => {
      const tries = theirs.map(async item => {
        const from = item.split('/')[0]!
        return (await connects(outside, from, from.includes(':') ? 'fd09::1' : '10.9.0.1', PORT)) ? from : []
      })
      return (await Promise.all(tries)).flat()
    }
    await start()
    t.same(await reach(), ['10.9.0.2', '10.9.0.3', '10.9.1.4', 'fd09::2', 'fd09::3'])
    const blocks = all('10.9.0.2', '10.9.1.0/24', 'fd09::2')
    await apply(blocks, [])
    t.same(await reach(), ['10.9.0.3', 'fd09::3'])
    for (const block of blocks) t.ok((await site.packets(block)) > 0, `${block} was counted`)
    await apply([], all('10.9.0.2', 'fd09::2'))
    t.same(await reach(), ['10.9.0.2', '10.9.0.3', 'fd09::2', 'fd09::3'])
    await firewall.clear()
    t.same(await reach(), ['10.9.0.2', '10.9.0.3', '10.9.1.4', 'fd09::2', 'fd09::3'])
  })

  await t.test('clearing leaves no trace and nothing else is touched', async t => {
    await firewall.clear()
    const foreign = await site.foreign()
    await apply(all('192.0.2.7', '2001:db8::7', '10.0.0.0/8'), [])
    t.equal(await site.foreign(), foreign)
    await firewall.clear()
    await firewall.clear()
    t.equal((await firewall.list()).own.size, 0)
    t.equal(await site.foreign(), foreign)
    const traces = await Promise.all([
      host.run('nft', ['list', 'ruleset']),
      host.run('ipset', ['list', '-name']),
      host.run('ufw', ['status'])
    ])
    t.notMatch(traces.map(item => item.stdout).join(), /^(?!.*ALLOW).*fail2ban.report/m)
  })
}
