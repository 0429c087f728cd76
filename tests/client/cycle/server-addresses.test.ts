import { join } from 'node:path'
import t from 'tap'
import { ServerAddresses, serverAddresses } from '../../../client/cycle/server-addresses.js'
import { JsonFiles } from '../../../common/json-file.js'
import { ownFolder } from '../../support/own-folder.js'

t.test('the servers of all URLs are found, and remembered while a name leads nowhere', async t => {
  const names: Record<string, string[]> = {
    'a.example': ['192.0.2.2', '2001:db8::1'],
    'b.example': ['192.0.2.1']
  }
  const files = new JsonFiles({ clock: Date.now, onSetAside: () => undefined })
  const find = () =>
    new ServerAddresses(files, join(dir, 'server-addresses.json'), host =>
      names[host] === undefined ? Promise.reject(new Error('no answer')) : Promise.resolve(names[host])
    ).find(['https://a.example/update.php', 'https://b.example:8443/x', 'https://a.example/y'])
  const dir = ownFolder(t)
  t.strictSame(await find(), ['192.0.2.2', '2001:db8::1', '192.0.2.1'])
  delete names['a.example']
  names['b.example'] = ['192.0.2.9']
  t.strictSame(await find(), ['192.0.2.2', '2001:db8::1', '192.0.2.9'])
  t.strictSame(await serverAddresses(['http://127.0.0.1:1/', 'http://[::1]/']), ['127.0.0.1', '::1'])
})
