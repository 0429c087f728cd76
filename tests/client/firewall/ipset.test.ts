import t from 'tap'
import { address } from '../../../common/address.js'
import { IpsetFirewall } from '../../../client/firewall/ipset.js'
import { available, createNamespace } from '../../support/netns.js'
import { conforms } from './conformance.js'

t.test('ipset', { skip: available('ipset', 'iptables', 'ip6tables') ?? false }, async t => {
  const host = await createNamespace('host')
  t.teardown(() => host.destroy())
  const rule = ['-m', 'set', '--match-set', 'fail2ban-report-4', 'src', '-j', 'DROP']
  // As fail2ban does it: a chain of its own, and sets of its own.
  await host.exec('iptables', '-N', 'f2b-sshd')
  await host.exec('iptables', '-I', 'INPUT', '-p', 'tcp', '--dport', '22', '-j', 'f2b-sshd')
  await host.exec('ipset', 'create', 'f2b-web', 'hash:ip')
  await host.exec('ipset', 'add', 'f2b-web', '203.0.113.5')
  await host.exec('ip6tables', '-A', 'FORWARD', '-s', '2001:db8::99', '-j', 'REJECT')

  const set = (block: string) => `fail2ban-report-${block.includes(':') ? 6 : 4}`
  const packets = async (block: string) => {
    const [, counted] = (await host.exec('ipset', 'save', set(block))).split(` ${block} packets `)
    return parseInt(counted ?? '')
  }

  const damages = {
    'the rule in INPUT is gone': () => host.exec('iptables', '-D', 'INPUT', ...rule),
    'the rules of IPv6 are flushed': () => host.exec('ip6tables', '-D', 'FORWARD', '1'),
    'another rule stands first': async () => {
      await host.exec('iptables', '-D', 'INPUT', ...rule)
      await host.exec('iptables', '-A', 'INPUT', ...rule)
    },
    'a rule is there twice': () => host.exec('iptables', '-A', 'FORWARD', ...rule),
    'a set was emptied': () => host.exec('ipset', 'flush', 'fail2ban-report-6'),
    'all is gone': async () => {
      for (const tables of ['iptables', 'ip6tables']) {
        for (const chain of ['INPUT', 'FORWARD']) await host.exec(tables, '-D', chain, '1')
      }
      await host.exec('ipset', 'destroy', 'fail2ban-report-4')
      await host.exec('ipset', 'destroy', 'fail2ban-report-6')
    }
  }

  await conforms(t, {
    host,
    make: run => new IpsetFirewall(run),
    foreign: async () => {
      const saved = [await host.exec('iptables-save'), await host.exec('ip6tables-save')].join('')
      const rules = saved.split('\n').filter(line => /^-A/.test(line) && !line.includes('fail2ban-report'))
      return rules.join('\n') + (await host.exec('ipset', 'save', 'f2b-web'))
    },
    steal: block => host.exec('ipset', 'del', set(block), block),
    packets,
    damages,
    meanwhile: damages
  })

  t.test('a whole address family is refused by name', async t => {
    const firewall = new IpsetFirewall(host.run)
    t.match(firewall.cannot(address('0.0.0.0/0')), /cannot hold all of IPv4/)
    t.equal(firewall.cannot(address('0.0.0.0/1')), undefined)
    const batch = [address('192.0.2.7'), address('::/0')]
    await t.rejects(firewall.apply(batch, []), { code: 'FIREWALL', message: /::\/0/ })
  })

  t.test('what a killed run left half built is cleaned away', async t => {
    const firewall = new IpsetFirewall(host.run)
    await firewall.apply([address('192.0.2.7')], [])
    await host.exec('ipset', 'create', 'fail2ban-report-4-next', 'hash:net')
    await firewall.apply([address('192.0.2.8')], [])
    t.same([...(await firewall.list()).own].sort(), ['192.0.2.7', '192.0.2.8'])
    t.notMatch(await host.exec('ipset', 'list', '-name'), /next/)
    await host.exec('ipset', 'create', 'fail2ban-report-4-next', 'hash:net')
    await firewall.clear()
    t.notMatch(await host.exec('ipset', 'list', '-name'), /fail2ban-report/)
  })

  t.test('counters go on through a change', async t => {
    const firewall = new IpsetFirewall(host.run)
    await firewall.clear()
    await firewall.apply([], [])
    await host.exec('ipset', 'add', 'fail2ban-report-4', '192.0.2.7', 'packets', '5', 'bytes', '300')
    await firewall.apply([address('192.0.2.8')], [])
    t.equal(await packets('192.0.2.7'), 5)
  })
})
