import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { address } from '../../../common/address.js'
import { JsonFiles } from '../../../common/json-file.js'
import { DryRunFirewall } from '../../../client/firewall/dry-run.js'
import { ownFolder } from '../../support/own-folder.js'

t.test('a dry run keeps its blocks in a file', async t => {
  const path = join(ownFolder(t), 'state', 'firewall.json')
  const make = () => new DryRunFirewall(new JsonFiles({ clock: () => 0, onSetAside: () => undefined }), path)
  const firewall = make()
  t.same([...(await firewall.list()).own], [])
  await firewall.apply([address('192.0.2.7'), address('2001:db8::/32')], [])
  await firewall.apply([address('192.0.2.8')], [address('192.0.2.7')])
  t.same([...(await make().list()).own].sort(), ['192.0.2.8', '2001:db8::/32'])
  const text = await readFile(path, 'utf8')
  await firewall.apply([], [])
  t.equal(await readFile(path, 'utf8'), text)
  await firewall.clear()
  t.same([...(await make().list()).own], [])
})
