import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rename, rmdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { address } from '../../../common/address.js'
import { NftablesFirewall } from '../../../client/firewall/nftables.js'
import { UfwFirewall } from '../../../client/firewall/ufw.js'
import { ufwLock } from '../../../client/firewall/ufw-lock.js'
import { available } from '../../support/netns.js'
import { ownFolder } from '../../support/own-folder.js'
import { conforms } from './conformance.js'
import { ufwHost } from './ufw-host.js'

const skip = available('ufw', 'iptables', 'ip6tables', 'nft') ?? false

t.test('ufw', { skip }, async t => {
  const { host, paths, ufw, foreignRules } = await ufwHost(ownFolder(t))
  t.teardown(() => host.destroy())
  await ufw('--force', 'enable')
  await ufw('allow', '7777/tcp')
  await ufw('limit', '22/tcp')
  await ufw('deny', 'proto', 'tcp', 'from', '203.0.113.0/28', 'to', 'any', 'port', '25', 'comment', 'no mail')
  await ufw('allow', 'from', '203.0.113.77', 'comment', 'fail2ban-report')
  await ufw('route', 'deny', 'from', '203.0.113.9')
  const firewall = new UfwFirewall(host.run, paths)

  await conforms(t, {
    host,
    make: run => new UfwFirewall(run, paths),
    foreign: foreignRules,
    meanwhile: {
      'the chain was flushed': () => host.exec('iptables', '-F', 'ufw-user-input'),
      'a rule lets somebody in ahead': () =>
        host.exec('iptables', '-I', 'ufw-user-input', '1', '-p', 'tcp', '--dport', '443', '-j', 'ACCEPT')
    },
    steal: async block => {
      const [tool, chain] = block.includes(':')
        ? (['ip6tables', 'ufw6-user-input'] as const)
        : (['iptables', 'ufw-user-input'] as const)
      await host.run(tool, ['-D', chain, '-s', block, '-j', 'DROP'])
    },
    packets: async block => {
      const saved = await host.exec(block.includes(':') ? 'ip6tables-save' : 'iptables-save', '-c')
      const line = saved.split('\n').find(one => one.includes(` -s ${block}`)) ?? ''
      return parseInt(line.slice(1))
    },
    damages: {
      'a rule was lost from the kernel': () =>
        host.exec('iptables', '-D', 'ufw-user-input', '-s', '192.0.2.7', '-j', 'DROP'),
      'the chain was flushed': () => host.exec('ip6tables', '-F', 'ufw6-user-input'),
      'ufw deleted a rule of ours': () => ufw('delete', 'deny', 'from', '10.0.0.0/8'),
      'a rule lets somebody in ahead': () => ufw('insert', '1', 'allow', '443/tcp')
    }
  })

  t.test(
    'ufw shows the blocks, ahead of its other rules, and keeps them through its own changes',
    async t => {
      await firewall.apply([address('192.0.2.7'), address('198.51.100.0/24'), address('2001:db8::7')], [])
      const status = (await ufw('status')).split('\n')
      t.match(status[4], /^Anywhere +DENY +192\.0\.2\.7 +# fail2ban-report$/)
      t.match(status[5], /^Anywhere +DENY +198\.51\.100\.0\/24 +# fail2ban-report$/)
      t.ok(status.some(line => /^Anywhere \(v6\) +DENY +2001:db8::7 +# fail2ban-report$/.test(line)))
      for (const words of [
        ['allow', '8443/tcp'],
        ['delete', 'allow', '8443/tcp'],
        ['reload'],
        ['logging', 'medium']
      ]) {
        await ufw(...words)
        t.equal((await firewall.list()).own.size, 3, words.join(' '))
      }
      await firewall.clear()
    }
  )

  t.test('plain denials by others count as alike and go only when asked for', async t => {
    await ufw('prepend', 'deny', 'from', '203.0.113.5')
    await ufw('prepend', 'deny', 'from', '2001:db8::5')
    await ufw('deny', 'from', '203.0.113.6')
    await firewall.apply([address('192.0.2.7')], [])
    const found = await firewall.list()
    t.same([...found.own], ['192.0.2.7'])
    t.same(
      [...found.alike].sort(),
      ['2001:db8::5', '203.0.113.5'],
      'one behind a rule that accepts is no block'
    )
    await firewall.apply([], [address('192.0.2.7'), address('203.0.113.5')])
    t.same([...(await firewall.list()).alike], ['2001:db8::5'])
    t.notMatch(await ufw('status'), /203\.0\.113\.5\b/)
    await firewall.clear()
    t.match(await ufw('status'), /DENY +203\.0\.113\.6\b/)
    await ufw('delete', 'deny', 'from', '2001:db8::5')
    await ufw('delete', 'deny', 'from', '203.0.113.6')
  })

  t.test('mode and owner of the rules file stay', async t => {
    const path = join(paths.rules, 'user.rules')
    await chmod(path, 0o604)
    await chown(path, 1, 2)
    await firewall.apply([address('192.0.2.7')], [])
    const { mode, uid, gid } = await stat(path)
    t.same([mode & 0o777, uid, gid], [0o604, 1, 2])
    await firewall.clear()
  })

  t.test('a rules file that cannot be written undoes the whole batch', async t => {
    await firewall.apply([address('192.0.2.7'), address('2001:db8::7')], [])
    const [path, away] = [join(paths.rules, 'user6.rules'), join(paths.rules, 'away')]
    const before = await foreignRules()
    const hindered = new UfwFirewall(async (program, args, options) => {
      if (program === 'ip6tables-restore' && !existsSync(away)) {
        await rename(path, away)
        await mkdir(path)
      }
      return host.run(program, args, options)
    }, paths)
    const batch = [address('192.0.2.8'), address('2001:db8::8')]
    await t.rejects(hindered.apply(batch, [address('192.0.2.7')]), {
      code: 'FIREWALL',
      message: /user6\.rules/
    })
    await rmdir(path)
    await rename(away, path)
    t.same([...(await firewall.list()).own], ['192.0.2.7', '2001:db8::7'])
    t.equal(await foreignRules(), before)
    t.notMatch(await host.exec('iptables', '-S', 'ufw-user-input'), /192\.0\.2\.8/)
    await firewall.clear()
  })

  t.test('a running ufw command is waited for', async t => {
    const release = await ufwLock(paths.lock)()
    await t.rejects(ufwLock(paths.lock, 100)(), { code: 'FIREWALL', message: /another ufw command/ })
    await release()
    const again = await ufwLock(paths.lock)()
    await again()
  })

  t.test('nftables beside ufw survives its reload, and ufw survives nftables', async t => {
    const beside = new NftablesFirewall(host.run)
    await beside.apply([address('192.0.2.9'), address('2001:db8::9')], [])
    await ufw('reload')
    t.same([...(await beside.list()).own], ['192.0.2.9', '2001:db8::9'])
    const before = await ufw('status')
    await beside.clear()
    t.equal(await ufw('status'), before)
  })

  t.test('chains that are not in the kernel are an error that says what to do', async t => {
    await host.exec('iptables', '-F', 'INPUT')
    t.same([...(await firewall.list()).own], [])
    t.equal(await firewall.active(), false)
    await t.rejects(firewall.apply([address('192.0.2.7')], []), { code: 'FIREWALL', message: /ufw reload/ })
    t.notMatch(await ufw('show', 'added'), /192\.0\.2\.7/)
  })

  t.test('while ufw is off, blocks are written for later and not in force', async t => {
    await ufw('disable')
    await firewall.apply([address('192.0.2.7')], [])
    t.same([...(await firewall.list()).own], [])
    t.equal(await firewall.active(), false)
    // The built-in chain was flushed above, and ufw fills it only when its own chains are new.
    await host.exec('nft', 'flush', 'ruleset')
    await ufw('--force', 'enable')
    t.same([...(await firewall.list()).own], ['192.0.2.7'])
    t.equal(await firewall.active(), true)
    await firewall.clear()
  })

  t.test('IPv6 that ufw leaves alone is refused by name, IPv4 is not', async t => {
    const defaults = await readFile(paths.defaults, 'utf8')
    await writeFile(paths.defaults, defaults.replace('IPV6=yes', 'IPV6=no'))
    await firewall.list()
    t.match(firewall.cannot(address('2001:db8::7')), /IPV6=no/)
    t.equal(firewall.cannot(address('192.0.2.7')), undefined)
    const batch = [address('192.0.2.7'), address('2001:db8::7')]
    await t.rejects(firewall.apply(batch, []), { code: 'FIREWALL', message: /2001:db8::7/ })
    await firewall.apply([address('192.0.2.7')], [])
    t.same([...(await firewall.list()).own], ['192.0.2.7'])
    await firewall.clear()
  })
})
