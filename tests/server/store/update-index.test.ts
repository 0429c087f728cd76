import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { testApp } from '../../support/app.js'

const WEB1 = 'web-1' as never
const DB1 = 'db-1' as never
const SSHD = 'sshd.blocklist.json' as never

t.test("a host's change leaves what is said of all others as it is, whatever they are called", async t => {
  const at = await testApp(t)
  const { paths, updates } = at.app.store
  const others = '"__proto__":{"sshd.blocklist.json":true},"constructor":{"sshd.blocklist.json":false}'
  await writeFile(paths.updateIndex(), `{${others},"web-1":{"sshd.blocklist.json":true}}`)
  const said = async () => JSON.stringify(JSON.parse(await readFile(paths.updateIndex(), 'utf8')))
  await updates.set(WEB1, SSHD, 'handed-out')
  t.equal(await said(), `{${others},"web-1":{"sshd.blocklist.json":false}}`)
  await updates.set(WEB1, SSHD, 'in-sync')
  t.equal(await said(), `{${others}}`)
  t.strictSame(await updates.of(WEB1), new Map())
  await updates.set(DB1, SSHD, 'waits')
  t.equal(await said(), `{${others},"db-1":{"sshd.blocklist.json":true}}`)
  t.strictSame(await updates.of(DB1), new Map([[SSHD, true]]))
})
