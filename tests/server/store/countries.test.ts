import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { address } from '../../../common/address.js'
import { Countries } from '../../../server/store/countries.js'
import { testApp } from '../../support/app.js'
import { mmdbOf } from '../../support/mmdb.js'
import { ownFolder } from '../../support/own-folder.js'

const DATABASE = mmdbOf([
  ['203.0.113.0/24', { country: { iso_code: 'DE' }, registered_country: { iso_code: 'FR' } }],
  ['198.51.100.0/25', { country_code: 'us' }],
  ['192.0.2.0/24', { registered_country: { iso_code: 'NL' } }],
  ['192.88.99.0/24', { country: { iso_code: '<b>' } }],
  ['2001:db8::/32', { country: { iso_code: 'SE' } }]
])

t.test('countries by the operator’s database, however it names them', async t => {
  const path = join(ownFolder(t, {}), 'countries.mmdb')
  await writeFile(path, DATABASE)
  let now = 0
  const failed: unknown[] = []
  const countries = new Countries(
    path,
    () => now,
    error => failed.push(error)
  )
  await countries.open()
  for (const [ip, country] of [
    ['203.0.113.9', 'DE'],
    ['203.0.113.0/26', 'DE'],
    ['198.51.100.1', 'US'],
    ['198.51.100.200', null],
    ['192.0.2.1', 'NL'],
    ['192.88.99.1', null],
    ['2001:db8:1::7', 'SE'],
    ['2001:db9::1', null]
  ] as const) {
    t.equal(countries.of(address(ip)), country, ip)
  }
  const { version } = countries
  await writeFile(path, mmdbOf([['203.0.113.0/24', { country: { iso_code: 'AT' } }]]))
  await countries.refresh()
  t.equal(countries.of(address('203.0.113.9')), 'DE', 'not looked at again at once')
  now += 61_000
  await countries.refresh()
  t.equal(countries.of(address('203.0.113.9')), 'AT', 'a newer file is taken')
  t.not(countries.version, version)
  await writeFile(path, 'no database')
  now += 61_000
  await countries.refresh()
  t.equal(countries.of(address('203.0.113.9')), 'AT', 'a broken one is not')
  t.equal(failed.length, 1)
})

t.test('without a database nothing is known; a path that is none is an error', async t => {
  const none = new Countries('', Date.now, () => undefined)
  await none.open()
  await none.refresh()
  t.equal(none.of(address('203.0.113.9')), null)
  t.equal(none.version, '')
  const wrong = new Countries('/nowhere/x.mmdb', Date.now, () => undefined)
  await t.rejects(wrong.open(), { code: 'CONFIG', message: /--geoip \/nowhere\/x\.mmdb/ })
})

t.test('the address and the top addresses tell their country', async t => {
  const geoip = join(ownFolder(t, {}), 'countries.mmdb')
  await writeFile(geoip, DATABASE)
  // The app has a folder of its own.
  await t.test('over the API', async t => {
    const at = await testApp(t, { geoip })
    const alice = await at.login()
    const days = at.path('archive', 'web-1', 'fail2ban')
    await mkdir(days, { recursive: true })
    const event = { timestamp: '2026-03-01 10:00:00,000', action: 'Ban', ip: '203.0.113.9', jail: 'sshd' }
    await writeFile(join(days, 'fail2ban-events-20260301.json'), JSON.stringify([event]))
    const reply = await at.get('/api/address?ip=203.0.113.9', alice)
    t.match(reply.json(), { country: 'DE', total: 1 })
    const statistics = await at.get('/api/statistics', alice)
    t.match(statistics.json(), { top: { days30: [{ ip: '203.0.113.9', country: 'DE' }] } })
  })
})
