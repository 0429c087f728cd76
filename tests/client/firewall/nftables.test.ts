import t from 'tap'
import { address } from '../../../common/address.js'
import { NftablesFirewall } from '../../../client/firewall/nftables.js'
import { available, createNamespace } from '../../support/netns.js'
import { conforms } from './conformance.js'

const FAIL2BAN = `table inet f2b-table {
  set addr-set-sshd { type ipv4_addr; elements = { 203.0.113.5 }; }
  chain f2b-chain {
    type filter hook input priority filter - 1; policy accept;
    tcp dport 22 ip saddr @addr-set-sshd reject
  }
}
`

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

  await conforms(t, {
    host,
    make: run => new NftablesFirewall(run),
    foreign: () => nft('list', 'table', 'inet', 'f2b-table'),
    steal: block => {
      const kind = block.includes('/') ? 'networks' : 'addresses'
      return nft('delete', 'element', ...table, `${kind}${block.includes(':') ? 6 : 4}`, `{ ${block} }`)
    },
    packets,
    damages: {
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
      'a set was emptied': () => nft('flush', 'set', ...table, 'addresses4')
    }
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
    await nft('flush', 'set', ...table, 'addresses4')
    await nft('add', 'element', ...table, 'addresses4', '{ 192.0.2.7 counter packets 5 bytes 300 }')
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
})
