import fc from 'fast-check'
import t from 'tap'
import { AddressSet, address, type Address } from '../../../common/address.js'
import type { RunCommand } from '../../../common/command.js'
import { ProductError } from '../../../common/errors.js'
import { NO_HITS } from '../../../client/firewall/families.js'
import { readElements } from '../../../client/firewall/nft-elements.js'
import { readLargeTable, readTable } from '../../../client/firewall/nft-read.js'
import { tableText } from '../../../client/firewall/nft-table.js'
import { available, createNamespace } from '../../support/netns.js'

const TABLE = ['inet', 'fail2ban_report']

t.test('elements read from the kernel', { skip: available('nft') ?? false }, async t => {
  const host = await createNamespace('host')
  t.teardown(() => host.destroy())
  const nft = (...words: string[]) => host.exec('nft', ...words)
  const load = async (blocks: Iterable<Address>) => {
    const content = new Map([...new AddressSet(blocks).outermost()].map(block => [block, NO_HITS]))
    const input = `add table ${TABLE.join(' ')}\ndelete table ${TABLE.join(' ')}\n${tableText(content)}`
    t.equal((await host.run('nft', ['-f', '-'], { input })).code, 0)
  }
  /** What was run, beside what `meddle` makes of it. */
  const watched = (meddle: (program: string, go: () => ReturnType<RunCommand>) => ReturnType<RunCommand>) => {
    const programs: string[] = []
    const run: RunCommand = (program, args, options) => {
      programs.push([program, ...args.filter(arg => arg === '-t' || arg === 'table')].join(' '))
      return meddle(program, () => host.run(program, args, options))
    }
    return { run, programs }
  }
  const some = [address('192.0.2.7'), address('198.51.100.0/24'), address('2001:db8::7')]
  const ownOf = async (run: RunCommand) => {
    const table = await readLargeTable(run)
    return [...(table?.singles ?? []), ...[...(table?.networks.values() ?? [])].flat()].sort()
  }

  t.test('they are what nft prints, whatever the sets hold', async t => {
    const bits = (most: number) => fc.integer({ min: 1, max: most })
    const block = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.tuple(fc.ipV4(), bits(32)).map(([ip, length]) => `${ip}/${length}`),
      fc.tuple(fc.ipV6(), bits(128)).map(([ip, length]) => `${ip}/${length}`),
      fc.constantFrom('255.255.255.0/24', '0.0.0.0/8', 'ffff::/16', '::/16', '10.0.0.0/16', '10.1.0.0/16'),
      // What nft spells with dots.
      fc.constantFrom('::102:304', '::102:300/120', '::cb00:7100/120')
    )
    await fc.assert(
      fc.asyncProperty(fc.array(block, { maxLength: 40 }), async texts => {
        await load(texts.map(address))
        const [quick, whole] = await Promise.all([readLargeTable(host.run), readTable(host.run, false)])
        t.ok(quick?.frameIntact)
        t.equal(quick?.handle, whole?.handle)
        t.strictSame([...(quick?.singles ?? [])].sort(), [...(whole?.singles ?? [])].sort())
        for (const [name, blocks] of quick?.networks ?? []) {
          t.strictSame([...blocks].sort(), [...(whole?.networks.get(name) ?? [])].sort(), name)
        }
      }),
      { numRuns: 25 }
    )
  })

  t.test('a range made by hand, one without an end, and a single address among networks', async t => {
    await load(some)
    await nft(
      'add',
      'element',
      ...TABLE,
      'networks4',
      '{ 203.0.113.1-203.0.113.6, 255.255.255.254/31, 192.0.2.9 }'
    )
    const { programs, run } = watched((_, go) => go())
    t.same(await ownOf(run), [
      '192.0.2.7',
      '192.0.2.9',
      '198.51.100.0/24',
      '2001:db8::7',
      ...['203.0.113.1', '203.0.113.2/31', '203.0.113.4/31', '203.0.113.6', '255.255.255.254/31']
    ])
    t.same(programs, ['python3', 'nft -t'])
  })

  t.test('elements of tens of thousands come in many pieces', async t => {
    const ips = Array.from({ length: 30_000 }, (_, n) =>
      address(
        n % 3 === 0 ? `2001:db8:${(n & 15).toString(16)}::${n.toString(16)}` : `11.${n >> 8}.${n & 255}.9`
      )
    )
    await load(ips)
    const { programs, run } = watched((_, go) => go())
    t.same(await ownOf(run), [...ips].sort())
    t.same(programs, ['python3', 'nft -t'])
  })

  const without: Record<string, RunCommand> = {
    'there is no Python': (program, args, options) =>
      program === 'python3'
        ? Promise.reject(new ProductError('COMMAND', 'python3 could not be started'))
        : host.run(program, args, options),
    'Python ends with an error': (program, args, options) =>
      program === 'python3' ? host.run('false', []) : host.run(program, args, options),
    'what comes is cut off': (program, args, options) => {
      if (program !== 'python3') return host.run(program, args, options)
      let left = 700
      const onOutput = (piece: Buffer) => {
        options?.onOutput?.(piece.subarray(0, left))
        left -= Math.min(left, piece.length)
      }
      return host.run(program, args, { ...options, onOutput })
    },
    'what comes is something else': (program, args, options) => {
      if (program !== 'python3') return host.run(program, args, options)
      const onOutput = (piece: Buffer) => options?.onOutput?.(Buffer.from(piece.map(byte => byte ^ 0x55)))
      return host.run(program, args, { ...options, onOutput })
    },
    'an element is added meanwhile': async (program, args, options) => {
      if (program === 'nft' && args.includes('-t'))
        await nft('add', 'element', ...TABLE, 'addresses4_2', '{ 192.0.2.8 }')
      return host.run(program, args, options)
    }
  }
  for (const [why, run] of Object.entries(without)) {
    t.test(`${why}: nft reads all of it`, async t => {
      await load(some)
      const { programs, run: noted } = watched((_, go) => go())
      const both: RunCommand = async (program, args, options) => {
        if (program === 'nft') void noted('true', args)
        return run(program, args, options)
      }
      const expected = why.startsWith('an element') ? ['192.0.2.7', '192.0.2.8', ...some.slice(1)] : some
      t.same(await ownOf(both), [...expected].sort())
      t.ok(programs.includes('true table'))
    })
  }

  t.test('a change of any table while it is read is told', async t => {
    await load(some)
    t.same(await readElements(host.run, () => Promise.resolve(7)).then(read => read?.beside), 7)
    const disturbed = await readElements(host.run, () => nft('add', 'table', 'ip', 'of_others'))
    t.equal(disturbed, undefined)
  })

  const odd = {
    'an address in a part of others': ['addresses4_3', '192.0.2.8'],
    'an IPv6 address in a part of others': ['addresses6_3', '2001:db8::8'],
    'an IPv4 address mapped into IPv6': ['addresses6_0', '::ffff:192.0.2.8'],
    'such a network': ['networks6', '::ffff:192.0.2.0/120']
  }
  for (const [what, [set, element]] of Object.entries(odd)) {
    t.test(`${what} stops nobody: that is no frame to trust`, async t => {
      await load(some)
      await nft('add', 'element', ...TABLE, set!, `{ ${element} }`)
      t.equal((await readLargeTable(host.run))?.frameIntact, false)
      t.equal((await readTable(host.run, false))?.frameIntact, false)
    })
  }

  t.test('where there is no table, there is none', async t => {
    await nft('delete', 'table', ...TABLE)
    t.equal(await readLargeTable(host.run), undefined)
  })

  t.test('a failure of nft is told', async t => {
    await load(some)
    const failing: RunCommand = (program, args, options) =>
      program === 'nft' ? host.run('false', []) : host.run(program, args, options)
    await t.rejects(readLargeTable(failing), { code: 'FIREWALL' })
  })
})
