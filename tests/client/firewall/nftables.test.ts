import t from 'tap'
import { address, type Address } from '../../../common/address.js'
import { SETS, bySet } from '../../../client/firewall/nft-table.js'
import { NftablesFirewall } from '../../../client/firewall/nftables.js'
import { available, connects, createNamespace, joinByVeth, listen } from '../../support/netns.js'
import { conforms, type Site } from './conformance.js'

const FAIL2BAN = `table inet f2b-table {
  set addr-set-sshd { type ipv4_addr; elements = { 203.0.113.5 }; }
  chain f2b-chain {
    type filter hook input priority filter - 1; policy accept;
    tcp dport 22 ip saddr @addr-set-sshd reject
  }
}
`

const FORMER = `table inet fail2ban_report {
  set blocked4 {
    type ipv4_addr; flags interval; counter;
    elements = { 192.0.2.7 counter packets 5 bytes 300, 198.51.100.0/24 counter packets 7 bytes 420 }
  }
  set blocked6 { type ipv6_addr; flags interval; counter; elements = { 2001:db8::7 } }
  chain input {
    type filter hook input priority -300; policy accept;
    ip saddr @blocked4 drop
    ip6 saddr @blocked6 drop
  }
  chain forward {
    type filter hook forward priority -300; policy accept;
    ip saddr @blocked4 drop
    ip6 saddr @blocked6 drop
  }
}
`

const SPREAD = `table inet fail2ban_report {
  set addresses4 { type ipv4_addr; counter; elements = { 192.0.2.7 counter packets 5 bytes 300 } }
  set networks4 { type ipv4_addr; flags interval; counter; elements = { 198.51.100.0/24 counter packets 7 bytes 420 } }
  set addresses6 { type ipv6_addr; counter; elements = { 2001:db8::7 } }
  set networks6 { type ipv6_addr; flags interval; counter; }
  chain input { type filter hook input priority -300; policy accept; ip saddr @addresses4 drop; }
}
`

/** Reads as where thousands of blocks are expected. */
class OfMany extends NftablesFirewall {
  override list() {
    return super.list(true)
  }
}

t.test('nftables', { skip: available('nft') ?? false }, async t => {
  const host = await createNamespace('host')
  t.teardown(() => host.destroy())
  const nft = (...words: string[]) => host.exec('nft', ...words)
  await host.run('nft', ['-f', '-'], { input: FAIL2BAN })
  const table = ['inet', 'fail2ban_report']

  const packets = async (block: string) => {
    const [, counted] = (await nft('list', 'table', ...table)).split(`${block} counter packets `)
    return parseInt(counted ?? '')
  }

  const setOf = (block: Address) =>
    [...bySet([block])].find(([, blocks]) => blocks.length > 0)?.[0].name ?? 'none'

  const damages = {
    'the table is gone': () => nft('delete', 'table', ...table),
    'the input chain was flushed': () => nft('flush', 'chain', ...table, 'input'),
    'the forward chain is gone': async () => {
      await nft('flush', 'chain', ...table, 'forward')
      await nft('delete', 'chain', ...table, 'forward')
    },
    'a rule lets somebody in ahead': () =>
      nft('insert', 'rule', ...table, 'input', 'tcp', 'dport', '22', 'accept'),
    'a set is of another type': async () => {
      await nft('flush', 'table', ...table)
      await nft('delete', 'set', ...table, 'networks6')
      await nft('add', 'set', ...table, 'networks6', '{ type ipv4_addr; flags interval; }')
    },
    'the table is switched off': () => nft('add', 'table', ...table, '{ flags dormant; }'),
    'sets were emptied': async () => {
      for (const { name } of SETS) await nft('flush', 'set', ...table, name)
    },
    'a bit is not compared': async () => {
      const rules = await nft('-a', 'list', 'chain', ...table, 'input')
      const handle = /saddr & 0\.0\.7\.0 == 0\.0\.2\.0 .* handle (\d+)/.exec(rules)![1]!
      const instead = 'ip saddr & 0.0.7.0 == 0.0.1.0 ip saddr @addresses4_2 drop'
      await nft('replace', 'rule', ...table, 'input', 'handle', handle, ...instead.split(' '))
    }
  }

  const site: Omit<Site, 'make'> = {
    host,
    foreign: () => nft('list', 'table', 'inet', 'f2b-table'),
    steal: block => {
      return nft('delete', 'element', ...table, setOf(block), `{ ${block} }`)
    },
    packets,
    damages,
    meanwhile: damages
  }
  await conforms(t, { ...site, make: run => new NftablesFirewall(run) })
  await t.test('of many blocks', t => conforms(t, { ...site, make: run => new OfMany(run) }))

  t.test('an address among those of another part is found, and the table mended', async t => {
    const firewall = new NftablesFirewall(host.run)
    const blocks = [address('192.0.2.7'), address('192.0.1.9')]
    await firewall.clear()
    await firewall.apply([address('192.0.2.7')], [])
    await nft('add', 'element', ...table, 'addresses4_2', '{ 192.0.1.9 }')
    t.same([...(await firewall.list()).own], [], 'whichever of them stands first')
    await firewall.apply([], [])
    t.same([...(await firewall.list()).own].sort(), [...blocks].sort())
  })

  t.test('blocks stay in force while a damaged frame is mended', async t => {
    const firewall = new NftablesFirewall(host.run)
    const blocks = [address('192.0.2.7'), address('2001:db8::7')]
    await firewall.clear()
    await firewall.apply(blocks, [])
    await nft('flush', 'chain', ...table, 'forward')
    await firewall.apply([], [])
    t.same([...(await firewall.list()).own], blocks)
  })

  t.test('counters go on when a set has to be refilled', async t => {
    const firewall = new NftablesFirewall(host.run)
    await firewall.clear()
    await firewall.apply([address('192.0.2.7')], [])
    await nft('flush', 'set', ...table, 'addresses4_2')
    await nft('add', 'element', ...table, 'addresses4_2', '{ 192.0.2.7 counter packets 5 bytes 300 }')
    await nft('flush', 'chain', ...table, 'forward')
    await firewall.apply([], [])
    t.equal(await packets('192.0.2.7'), 5)
  })

  t.test('a range made by hand is read as networks and can be removed', async t => {
    const firewall = new NftablesFirewall(host.run)
    await firewall.clear()
    await firewall.apply([address('192.0.2.7')], [])
    await nft('add', 'element', ...table, 'networks4', '{ 198.51.100.1-198.51.100.3 }')
    const { own } = await firewall.list()
    t.same([...own].sort(), ['192.0.2.7', '198.51.100.1', '198.51.100.2/31'])
    await firewall.apply([address('203.0.113.1')], [address('198.51.100.1')])
    t.same([...(await firewall.list()).own].sort(), ['192.0.2.7', '198.51.100.2/31', '203.0.113.1'])
  })

  /** A change of one address after a list, watched and meddled with. */
  const change = async (meddle: {
    input?: (text: string, load: number) => string
    after?: () => Promise<unknown>
  }) => {
    await new NftablesFirewall(host.run).clear()
    await new NftablesFirewall(host.run).apply([address('192.0.2.7'), address('198.51.100.0/24')], [])
    const calls: string[] = []
    let loads = 0
    const firewall = new NftablesFirewall(async (program, args, options) => {
      calls.push(args.join(' '))
      if (args[0] !== '-f') return host.run(program, args, options)
      loads++
      const input = meddle.input?.(options!.input!, loads) ?? options!.input!
      const result = await host.run(program, args, { ...options, input })
      if (loads === 1) await meddle.after?.()
      return result
    })
    await firewall.list()
    calls.length = 0
    const told = await firewall.apply([address('192.0.2.8')], [])
    return { told: [...told!.own].sort(), calls }
  }
  const whole = ['192.0.2.7', '192.0.2.8', '198.51.100.0/24']

  t.test('a change of single addresses is read back without a list of all', async t => {
    const { told, calls } = await change({})
    t.same(told, whole)
    t.same(calls, ['-f -', '-c -f -', '-j -t list ruleset inet'])
  })

  t.test('a block that the kernel did not take is not said to be in force', async t => {
    const without = (text: string) =>
      text.replace(/add element .*\{\n192\.0\.2\.8\n\}/, '').replace(',\n192.0.2.8', '')
    t.same((await change({ input: without })).told, ['192.0.2.7', '198.51.100.0/24'])
    const once = (text: string, load: number) => (load === 1 ? without(text) : text)
    t.same((await change({ input: once })).told, whole, 'it is put in with the whole table')
  })

  t.test('another table of the same form is not taken for the one that was listed', async t => {
    const { told } = await change({
      after: async () => {
        const text = (await nft('list', 'table', ...table)).replace(/192\.0\.2\.7[^,]*,/, '')
        await nft('delete', 'table', ...table)
        await host.run('nft', ['-f', '-'], { input: text })
      }
    })
    t.same(told, ['192.0.2.8', '198.51.100.0/24'])
  })

  t.test('an IPv6 block that nft spells with dots is no IPv4 block', async t => {
    for (const firewall of [new NftablesFirewall(host.run), new OfMany(host.run)]) {
      const blocks = [address('::102:304'), address('::cb00:7100/120')]
      await firewall.clear()
      await firewall.apply(blocks, [])
      t.same([...(await firewall.list()).own].sort(), blocks)
      await nft('flush', 'chain', ...table, 'forward')
      t.equal((await firewall.list()).own.size, 0)
      await firewall.apply([], [])
      t.same([...(await firewall.list()).own].sort(), blocks, 'made anew')
    }
  })

  t.test('an IPv4 address mapped into IPv6 by hand never becomes an IPv4 block', async t => {
    const firewall = new NftablesFirewall(host.run)
    for (const [set, element] of [
      ['addresses6_0', '::ffff:192.0.2.8'],
      ['networks6', '::ffff:192.0.2.0/120'],
      ['networks6', '::ffff:192.0.2.3-::ffff:192.0.2.9']
    ] as const) {
      await firewall.clear()
      await firewall.apply([address('192.0.2.7')], [])
      await nft('add', 'element', ...table, set, `{ ${element} }`)
      t.equal((await firewall.list()).own.size, 0, 'the table is not trusted')
      await firewall.apply([], [])
      t.same([...(await firewall.list()).own], ['192.0.2.7'])
    }
  })

  t.test('a frame that is altered while thousands go is mended at once', async t => {
    const ips = Array.from({ length: 3000 }, (_, n) => address(`11.${n >> 8}.${n & 255}.9`))
    await new NftablesFirewall(host.run).clear()
    await new NftablesFirewall(host.run).apply(ips, [])
    let loads = 0
    const firewall = new NftablesFirewall(async (program, args, options) => {
      const result = await host.run(program, args, options)
      if (args[0] === '-f' && ++loads === 1) await nft('insert', 'rule', ...table, 'input', 'accept')
      return result
    })
    await firewall.list()
    t.equal((await firewall.apply([], ips.slice(0, 2500)))?.own.size, 500)
    t.equal((await firewall.list()).own.size, 500)
  })

  t.test('a single address put among the networks by hand can be removed', async t => {
    const firewall = new NftablesFirewall(host.run)
    await firewall.clear()
    await firewall.apply([address('192.0.2.7')], [])
    await nft('add', 'element', ...table, 'networks4', '{ 192.0.2.8 }')
    t.same([...(await firewall.list()).own].sort(), ['192.0.2.7', '192.0.2.8'])
    t.same([...(await firewall.apply([], [address('192.0.2.8')]))!.own], ['192.0.2.7'])
  })

  const former = { 'networks and addresses in one set': FORMER, 'single addresses in one set': SPREAD }
  for (const [what, text] of Object.entries(former)) {
    t.test(
      `the table of an earlier version moves over in one transaction, with its counters: ${what}`,
      async t => {
        await new NftablesFirewall(host.run).clear()
        await host.run('nft', ['-f', '-'], { input: text })
        const inputs: string[] = []
        const firewall = new NftablesFirewall((program, args, options) => {
          if (options?.input !== undefined) inputs.push(options.input)
          return host.run(program, args, options)
        })
        t.equal((await firewall.list()).own.size, 0)
        const told = await firewall.apply([address('192.0.2.8')], [])
        t.same([...told!.own].sort(), ['192.0.2.7', '192.0.2.8', '198.51.100.0/24', '2001:db8::7'])
        t.equal(inputs.length, 1)
        t.equal(await packets('192.0.2.7'), 5)
        t.equal(await packets('198.51.100.0/24'), 7)
        t.notMatch(await nft('list', 'table', ...table), /blocked|addresses\d /)
      }
    )
  }

  t.test('every part of the single addresses drops its own', async t => {
    const outside = await createNamespace('outside')
    t.teardown(() => outside.destroy())
    const parts = [0, 1, 2, 3, 4, 5, 6, 7]
    const theirs = parts.flatMap(part => [`10.9.${part}.2/16`, `fd09:0:${(part + 8).toString(16)}::2/32`])
    await joinByVeth(host, ['10.9.255.1/16', 'fd09::1/32'], outside, theirs)
    t.teardown(await listen(host, 7777))
    const blocks = theirs.map(text => address(text.split('/')[0]!))
    const reached = async () => {
      const tries = blocks.map(async from => {
        return (await connects(outside, from, from.includes(':') ? 'fd09::1' : '10.9.255.1', 7777))
          ? from
          : []
      })
      return (await Promise.all(tries)).flat()
    }
    const firewall = new NftablesFirewall(host.run)
    await firewall.clear()
    t.same(await reached(), blocks)
    t.same([...(await firewall.apply(blocks, []))!.own].sort(), [...blocks].sort())
    t.same(await reached(), [])
    const names = SETS.filter(set => !set.networks).map(set => set.name)
    t.same(blocks.map(setOf).sort(), names.sort())
  })

  t.test('an address in a part where none looks for it is not in force, and is put right', async t => {
    const firewall = new NftablesFirewall(host.run)
    await firewall.clear()
    await firewall.apply([address('192.0.2.7')], [])
    await nft('delete', 'element', ...table, 'addresses4_2', '{ 192.0.2.7 }')
    await nft('add', 'element', ...table, 'addresses4_3', '{ 192.0.2.7 }')
    t.same([...(await firewall.list()).own], [])
    t.same([...(await firewall.apply([address('192.0.2.7')], []))!.own], ['192.0.2.7'])
    t.match(await nft('list', 'set', ...table, 'addresses4_2'), /192\.0\.2\.7/)
  })
})
