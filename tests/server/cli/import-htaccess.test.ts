import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from '@node-rs/bcrypt'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { address } from '../../../common/address.js'
import { readKeyValues } from '../../../common/key-values.js'
import { importHtaccess } from '../../../server/cli/import-htaccess.js'
import { apacheNetwork } from '../../../server/htaccess/networks.js'
import { parseHtaccess } from '../../../server/htaccess/parse.js'
import { Region } from '../../../server/htaccess/region.js'
import { BIN, execute } from '../../support/installation.js'
import { ownFolder } from '../../support/own-folder.js'
import { scratch } from '../../support/scratch.js'

const HASH = hashSync('x', 4)
const AUTH = 'AuthType Basic\nAuthName "Fail2Ban"\nAuthUserFile /nowhere/.htpasswd\n'
const dashboard = (text: string) => importHtaccess(text, 'dashboard')
/** Each text means these settings, and all of it is understood. */
function means(t: Test, cases: readonly [string, Record<string, string>][]): void {
  for (const [text, settings] of cases) {
    const found = dashboard(text)
    t.strictSame(found.settings, settings, text)
    t.strictSame(found.untranslated, [], text)
  }
}
const HTPASSWD = { htpasswd: '/nowhere/.htpasswd' }

t.test('networks as Apache takes them', async t => {
  for (const [text, expected] of [
    ['10', '10.0.0.0/8'],
    ['10.1', '10.1.0.0/16'],
    ['10.1.', '10.1.0.0/16'],
    ['172.16.5', '172.16.5.0/24'],
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.7/24', '192.0.2.0/24'],
    ['10.1.0.0/255.255.0.0', '10.1.0.0/16'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['0.0.0.0/0.0.0.0', '0.0.0.0/0'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['::1', '::1'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ...[
      '',
      '.',
      '10..1',
      '256',
      '10.256',
      'example.org',
      '.example.org',
      '10.1.0.0/255.0.255.0',
      '10.1/16'
    ].map(bad => [bad, undefined] as const),
    ...['10.0.0.0/33', '10.0.0.0/8/8', '1.2.3.4.', '1.2.3.4.5', '-1', '10,11', '::1/129', '0x0a', 'a.b'].map(
      bad => [bad, undefined] as const
    )
  ] as const)
    t.equal(apacheNetwork(text), expected, JSON.stringify(text))
})

t.test('what an .htaccess of today means', async t => {
  const cases: [string, Record<string, string>][] = [
    ['', {}],
    ['# nothing\n\nOptions -Indexes\n', {}],
    ['Require all granted', {}],
    ['Require all denied', { allow_dashboard: 'none' }],
    ['Require ip 10.1 192.0.2.7 2001:db8::/32', { allow_dashboard: '10.1.0.0/16,192.0.2.7,2001:db8::/32' }],
    ['require IP 10.0.0.0/255.0.0.0\r\nREQUIRE ip 10.1\r\n', { allow_dashboard: '10.0.0.0/8' }],
    ['Require ip \\\n  192.0.2.7 \\\n 192.0.2.6', { allow_dashboard: '192.0.2.6/31' }],
    ['# Require all granted \\\nRequire ip 10\nRequire ip 192.0.2.1', { allow_dashboard: '192.0.2.1' }],
    ['\ufeffRequire ip "192.0.2.7"', { allow_dashboard: '192.0.2.7' }],
    ['Require local', { allow_dashboard: '127.0.0.0/8,::1' }],
    [`${AUTH}Require valid-user`, HTPASSWD],
    [
      `${AUTH}Require ip 10\nRequire valid-user`,
      { ...HTPASSWD, allow_dashboard: '10.0.0.0/8', satisfy: 'any' }
    ],
    [
      `${AUTH}<RequireAny>\n Require ip 10\n Require valid-user\n</RequireAny>`,
      { ...HTPASSWD, allow_dashboard: '10.0.0.0/8', satisfy: 'any' }
    ],
    [
      `${AUTH}<RequireAll>\nRequire ip 10\nRequire valid-user\n</RequireAll>`,
      { ...HTPASSWD, allow_dashboard: '10.0.0.0/8' }
    ],
    [
      `${AUTH}<RequireAll>\n<RequireAny>\nRequire ip 10\nRequire ip 11\n</RequireAny>\nRequire valid-user\n</RequireAll>`,
      { ...HTPASSWD, allow_dashboard: '10.0.0.0/7' }
    ],
    [
      '<RequireAll>\nRequire ip 192.0.2.0/29\nRequire not ip 192.0.2.4\n</RequireAll>',
      { allow_dashboard: '192.0.2.0/30,192.0.2.5,192.0.2.6/31' }
    ],
    [
      '<RequireAll>\nRequire ip 192.0.2.0/29\n<RequireNone>\nRequire ip 192.0.2.0/30\n</RequireNone>\n</RequireAll>',
      { allow_dashboard: '192.0.2.4/30' }
    ],
    // Only negative directives let nobody in.
    ['<RequireAll>\nRequire not ip 10\n</RequireAll>', { allow_dashboard: 'none' }],
    [`${AUTH}<RequireAny>\nRequire all granted\nRequire valid-user\n</RequireAny>`, {}],
    [
      `${AUTH}<RequireAll>\nRequire all denied\nRequire valid-user\n</RequireAll>`,
      { allow_dashboard: 'none' }
    ],
    [
      '<IfModule mod_authz_core.c>\nRequire ip 10\n</IfModule>\n<IfModule !mod_authz_core.c>\nOrder allow,deny\nAllow from all\n</IfModule>',
      { allow_dashboard: '10.0.0.0/8' }
    ]
  ]
  means(t, cases)
})

t.test('what an .htaccess of Apache 2.2 means', async t => {
  const cases: [string, Record<string, string>][] = [
    [
      'Order deny,allow\nDeny from all\nAllow from 10.1 192.0.2.7',
      { allow_dashboard: '10.1.0.0/16,192.0.2.7' }
    ],
    [
      'Order Allow,Deny\nAllow from 192.0.2.0/30\nDeny from 192.0.2.1',
      { allow_dashboard: '192.0.2.0,192.0.2.2/31' }
    ],
    ['Order allow,deny\nAllow from all', {}],
    ['Order allow,deny', { allow_dashboard: 'none' }],
    ['Order deny,allow', {}],
    ['Order Mutual-failure\nAllow from 10', { allow_dashboard: '10.0.0.0/8' }],
    ['Deny from all', { allow_dashboard: 'none' }],
    [
      `${AUTH}Order deny,allow\nDeny from all\nAllow from 10\nRequire valid-user\nSatisfy Any`,
      { ...HTPASSWD, allow_dashboard: '10.0.0.0/8', satisfy: 'any' }
    ],
    [
      `${AUTH}Order deny,allow\nDeny from all\nAllow from 10\nRequire valid-user`,
      { ...HTPASSWD, allow_dashboard: '10.0.0.0/8' }
    ],
    [
      `Order deny,allow\nDeny from all\nAllow from 10\n<RequireAll>\nRequire not ip 11\n</RequireAll>`,
      { allow_dashboard: 'none' }
    ]
  ]
  means(t, cases)
})

t.test('what is not understood is told, and never lets more in', async t => {
  const cases: [string, Record<string, string>, RegExp][] = [
    ['Require host example.org', {}, /only addresses/],
    ['Require ip 10\nRequire host example.org', { allow_dashboard: '10.0.0.0/8' }, /only addresses/],
    ['<RequireAll>\nRequire ip 10\nRequire env ok\n</RequireAll>', {}, /only addresses/],
    ['<RequireAll>\nRequire all granted\nRequire not host bad.example\n</RequireAll>', {}, /only addresses/],
    ['Require expr true', {}, /only addresses/],
    ['Require all', {}, /only addresses/],
    ['Require', {}, /only addresses/],
    ['Require ip', {}, /not all of it/],
    ['Require ip 10.1/16', {}, /not all of it/],
    ['AuthType Digest\nAuthUserFile /x\nRequire valid-user', {}, /only Basic/],
    ['AuthType Basic\nRequire valid-user', {}, /AuthUserFile|does not say it/],
    ['AuthUserFile /x\nRequire valid-user', {}, /does not say it/],
    ['AuthType Basic\nAuthUserFile conf/users\nRequire valid-user', {}, /ServerRoot/],
    [`${AUTH}AuthBasicProvider ldap\nRequire valid-user`, {}, /only a password file/],
    [`${AUTH}Require user alice`, {}, /lets all its users in/],
    [`${AUTH}Require group admins`, {}, /only addresses/],
    [`${AUTH}Require valid-user\nSatisfy any`, {}, /lets everybody in/],
    ['AuthMerging Or\nRequire ip 10', {}, /folders above/],
    ['Require ip 10\n<Limit POST>\nRequire all granted\n</Limit>', {}, /is not known here/],
    ['Require ip 10\n<If "true">\nRequire all denied\n</If>', {}, /is not known here/],
    ['Require ip 10\n<IfModule mod_x.c>\nRequire all denied\n</IfModule>', {}, /is not known here/],
    ['Require ip 10\nRewriteRule ^ - [R,F]', {}, /may refuse requests/],
    ['Require ip 10\n<IfModule mod_rewrite.c>\nRewriteRule ^ - [F]\n</IfModule>', {}, /may refuse requests/],
    ['Require ip 10\nRedirectMatch 403 .', {}, /may refuse requests/],
    // What is behind b, and for whom, is not known here: it may be a page that says no.
    ['Require ip 10\nRewriteRule a b [L]', {}, /may refuse requests/],
    [
      'Require ip 10\n<FilesMatch "\\.json$">\nRequire all denied\n</FilesMatch>',
      { allow_dashboard: '10.0.0.0/8' },
      /some files/
    ],
    [
      'Order deny,allow\nDeny from all\nAllow from 10 example.org',
      { allow_dashboard: '10.0.0.0/8' },
      /neither address/
    ],
    ['Order allow,deny\nAllow from all\nDeny from bad.example', {}, /neither address/],
    ['Allow from env=ok\nDeny from all', {}, /neither address/],
    ['Order allow,sometimes\nAllow from 10', {}, /is meant/],
    [
      `${AUTH}<RequireAny>\nRequire ip 10\n<RequireAll>\nRequire ip 11\nRequire valid-user\n</RequireAll>\n</RequireAny>`,
      {},
      /more than one list/
    ],
    [
      '<RequireAll>\nRequire all granted\nRequire not ip 2001:db8::1 2001:db9::1 2001:dba::1\n</RequireAll>',
      {},
      /would take/
    ]
  ]
  for (const [text, settings, why] of cases) {
    const found = dashboard(text)
    t.strictSame(found.settings, settings, text)
    t.match(found.untranslated.map(one => one.why).join(), why, text)
  }
})

t.test('nothing is printed where another directive may have kept somebody out', async t => {
  const keepOut: [string, RegExp][] = [
    ['SSLVerifyClient require', /whether it keeps anybody out/],
    ['SSLRequire %{SSL_CLIENT_S_DN_O} eq "Example"', /whether it keeps anybody out/],
    ['SSLRequireSSL', /whether it keeps anybody out/],
    ['<IfModule mod_ssl.c>\nSSLVerifyClient require\n</IfModule>', /whether it keeps anybody out/],
    ['SecRuleEngine On', /whether it keeps anybody out/],
    ['php_value auto_prepend_file /srv/login.php', /whether it keeps anybody out/],
    ['SetHandler proxy:http://gate.example/', /whether it keeps anybody out/],
    ['RewriteOptions Inherit', /whether it keeps anybody out/],
    ['<Gate x>\nOptions None\n</Gate>', /is not known here/],
    ...[
      '"\\.php$"',
      '"\\.json"',
      '"\\.ht"',
      '"^\\.?x"',
      '"^\\.ht|php$"',
      '"\\.(json|php)$"',
      '"(\\.json|.)$"',
      '.'
    ].map((pattern): [string, RegExp] => [
      `<FilesMatch ${pattern}>\nRequire ip 10.0.0.0/8\n</FilesMatch>`,
      /whether, or for what/
    ]),
    ...['"\\.php$"', '"\\.ht"', '"^\\.?x"', '"^\\.ht|php$"', '"\\.(json|php)$"', '"(\\.json|.)$"', '.'].map(
      (pattern): [string, RegExp] => [
        `<FilesMatch ${pattern}>\nRequire all denied\n</FilesMatch>`,
        /whether, or for what/
      ]
    ),
    ['<FilesMatch "\\.json$">\nRequire ip 10\n</FilesMatch>', /whether, or for what/],
    ['<Files index.php>\nRequire all denied\n</Files>', /whether, or for what/],
    ['<Files *>\nDeny from all\n</Files>', /whether, or for what/],
    ['RewriteCond %{REMOTE_ADDR} !^10\\.\nRewriteRule ^ /denied.html [L]', /may refuse requests/],
    ['RewriteCond %{HTTP_USER_AGENT} bad\nRewriteRule ^ https://example.org/ [R]', /may refuse requests/],
    ['RewriteRule ^ - [E=x:y,G]', /may refuse requests/],
    ['RewriteRule ^ - [R=404]', /may refuse requests/],
    ['RewriteRule ^ -  "[L, F]"', /may refuse requests/],
    ['Redirect gone /', /may refuse requests/],
    ['RedirectMatch ^ https://example.org/', /may refuse requests/]
  ]
  for (const [text, why] of keepOut)
    for (const whole of [`${AUTH}Require valid-user\n${text}`, `${text}\n${AUTH}Require valid-user`]) {
      const found = importHtaccess(whole, 'both')
      t.strictSame(found.settings, {}, whole)
      t.match(found.untranslated.map(one => one.why).join(), why, whole)
    }
})

t.test('what keeps nobody out of a page stands in no way', async t => {
  means(
    t,
    [
      'Options -Indexes\nDirectoryIndex index.php\nErrorDocument 403 /no.html\nServerSignature Off\nFileETag None',
      'AddType text/css .css\nAddDefaultCharset utf-8\nAddEncoding gzip .gz\nSetHandler application/x-httpd-php',
      '<IfModule mod_headers.c>\nHeader set X-Frame-Options DENY\n</IfModule>',
      '<FilesMatch "\\.css$">\nExpiresActive On\nExpiresByType text/css "access plus 1 day"\n</FilesMatch>',
      'php_value memory_limit 64M\nphp_flag display_errors off\nphp_value auto_prepend_file none',
      'SetEnv a b\nSetEnvIf Authorization "(.*)" HTTP_AUTHORIZATION=$1',
      'RewriteEngine On\nRewriteBase /\nRewriteCond %{HTTP:Authorization} .\nRewriteRule ^ - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization},L]'
    ].map(text => [`${AUTH}Require valid-user\n${text}`, HTPASSWD])
  )
  for (const section of [
    '<Files .htaccess>\nRequire all denied\n</Files>',
    '<Files ".ht*">\nOrder allow,deny\nDeny from all\nSatisfy All\n</Files>',
    '<Files *.json>\nDeny from all\n</Files>',
    '<Files ~ "^\\.ht">\nRequire all denied\n</Files>',
    ...[
      '"^\\."',
      '"\\.(json|config|md)$"',
      '"(?i)(^\\.env|\\.ya?ml)$"',
      '"^(\\.env|composer\\.json)$"',
      '"^\\.(ht|git)"',
      '"^\\.ht|\\.log$"'
    ].map(
      pattern =>
        `<FilesMatch ${pattern}>\n<IfModule mod_authz_core.c>\nRequire all denied\n</IfModule>\n</FilesMatch>`
    )
  ]) {
    const found = dashboard(`${AUTH}Require valid-user\n${section}`)
    t.strictSame(found.settings, HTPASSWD, section)
    t.match(found.untranslated, [{ why: /some files only/ }], section)
  }
})

t.test('Require user means the password file where it has no others; hashes are looked at', async t => {
  const file = join(scratch(t), 'pass words')
  const auth = `AuthType Basic\nAuthUserFile "${file}"\n`
  await writeFile(file, `alice:${HASH}\nbob:${HASH}\n`)
  t.strictSame(dashboard(`${auth}Require user alice`).settings, {})
  for (const text of [`${auth}Require user bob alice carol`, `Require user bob alice carol\n${auth}`]) {
    const both = dashboard(text)
    t.strictSame([both.settings, both.untranslated], [{ htpasswd: `"${file}"` }, []])
  }
  await writeFile(file, 'alice:$apr1$x$y\n')
  const md5 = dashboard(`${auth}Require valid-user`)
  t.match(md5, {
    settings: { htpasswd: `"${file}"` },
    untranslated: [{ why: /line 1 \(alice\).*htpasswd -B/ }]
  })
})

t.test('the same file in front of the endpoints', async t => {
  for (const [text, settings] of [
    ['Require ip 10', { allow_endpoints: '10.0.0.0/8' }],
    ['Require all denied', { allow_endpoints: 'none' }],
    [`${AUTH}Require valid-user`, {}],
    [`${AUTH}Require ip 10\nRequire valid-user`, { allow_endpoints: '10.0.0.0/8' }],
    [
      `${AUTH}<RequireAll>\nRequire ip 10\nRequire valid-user\n</RequireAll>`,
      { allow_endpoints: '10.0.0.0/8' }
    ]
  ] as const) {
    const found = importHtaccess(text, 'endpoints')
    t.strictSame([found.settings, found.untranslated], [settings, []], text)
  }
  t.strictSame(importHtaccess(`${AUTH}Require ip 10\nRequire valid-user`, 'both').settings, {
    ...HTPASSWD,
    allow_dashboard: '10.0.0.0/8',
    satisfy: 'any',
    allow_endpoints: '10.0.0.0/8'
  })
})

t.test('what is no .htaccess is an error that names the line', async t => {
  for (const [text, message] of [
    ['Require ip 10\n</RequireAny>', /line 2: nothing is open/],
    ['<RequireAny>\nRequire ip 10\n</RequireAll>', /line 3: nothing is open/],
    ['<RequireAny>\nRequire ip 10', /line 1: <RequireAny> is never closed/],
    ['<RequireAny\nRequire ip 10', /line 1: a > is missing/],
    ['<>\n</>', /line 1: a > is missing/],
    ['AuthName "x', /line 1: a closing " is missing/],
    ['Require ip 10\0', /a NUL is in the file/],
    ['Require ip 10 \\\\', /two backslashes/],
    ['<RequireAny>\n'.repeat(21) + '</RequireAny>\n'.repeat(21), /line 21: sections are nested deeper/],
    ['#'.repeat(300 * 1024), /larger than/]
  ] as const)
    t.throws(() => dashboard(text), { code: 'BAD_INPUT', message }, JSON.stringify(text.slice(0, 40)))
  t.strictSame(parseHtaccess(`A "b c" 'd "e"' f"g h\\\\i "j\\"k"`)[0]!.args, [
    'b c',
    'd "e"',
    'f"g',
    'h\\i',
    'j"k'
  ])
})

t.test('regions are exact, whatever is done with them', async t => {
  const byte = fc.integer({ min: 0, max: 255 })
  const network = fc.oneof(
    fc.tuple(byte, fc.integer({ min: 0, max: 32 })).map(([last, bits]) => address(`192.0.2.${last}/${bits}`)),
    fc
      .tuple(byte, fc.integer({ min: 0, max: 128 }))
      .map(([last, bits]) => address(`2001:db8::${last.toString(16)}/${bits}`)),
    fc.constantFrom(address('::fffe:0:0/96'), address('::/0'), address('0.0.0.0/0'), address('::1:0:0:0/80'))
  )
  const region = fc.array(network, { maxLength: 5 }).map(networks => Region.of(networks))
  fc.assert(
    fc.property(region, region, network, (a, b, point) => {
      const has = (of: Region) => Region.of([point]).minus(of).isEmpty
      const [union, both] = [Region.union([a, b]), a.and(b)]
      if ((has(a) || has(b)) && !has(union)) return false
      if (has(both) !== (has(a) && has(b))) return false
      if (!a.minus(b).and(b).isEmpty || !Region.union([a.minus(b), both]).equals(a)) return false
      // What is printed lets in what the region does, and no more.
      const again = Region.of(a.complement().networks())
      return (
        a.and(again).isEmpty && a.complement().complement().equals(a) && again.minus(a.complement()).isEmpty
      )
    }),
    { numRuns: 300 }
  )
  t.ok(Region.all.isAll && Region.none.isEmpty)
  t.strictSame(Region.all.networks(), ['0.0.0.0/0', '::/0'])
})

t.test('hostile text ends in an answer or in an error of ours', async () => {
  const word = fc.constantFrom(
    ...[
      'Require',
      'ip',
      'not',
      'all',
      'granted',
      'denied',
      '10',
      '::/0',
      '"',
      "'",
      '\\',
      '\n',
      '\r\n',
      '#',
      '<',
      '>'
    ],
    ...[
      '<RequireAny>',
      '</RequireAny>',
      '<RequireAll>',
      '</RequireAll>',
      '<RequireNone>',
      '</RequireNone>',
      ' ',
      'Order'
    ],
    ...[
      'allow,deny',
      'Allow',
      'Deny',
      'from',
      'Satisfy',
      'any',
      'valid-user',
      'AuthType',
      'Basic',
      '\x1b[31m',
      '漢',
      '__proto__'
    ]
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), words => {
      const text = words.join(' ')
      try {
        const { settings } = importHtaccess(text, 'both')
        return Object.keys(settings).every(key => /^(allow_\w+|htpasswd|satisfy)$/.test(key))
      } catch (error) {
        return (error as { code?: string }).code === 'BAD_INPUT'
      }
    }),
    { numRuns: 2000 }
  )
})

t.test('the command prints lines for server.conf; its exit code says whether all was understood', async t => {
  const dir = ownFolder(t, {
    whole: `${AUTH}Require ip 10.1\nRequire valid-user\n`,
    part: 'Require ip 10.1\nRequire host \x1b[31mexample.org\n',
    broken: '<RequireAny>'
  })
  await mkdir(join(dir, 'folder'))
  const run = (...words: string[]) => execute([process.execPath, BIN, 'import-htaccess', ...words])
  const whole = await run(join(dir, 'whole'))
  t.equal(whole.code, 0, whole.err)
  t.strictSame(Object.fromEntries(readKeyValues(whole.out, 'out')), {
    allow_dashboard: '10.1.0.0/16',
    htpasswd: '/nowhere/.htpasswd',
    satisfy: 'any',
    allow_endpoints: '10.1.0.0/16'
  })
  const part = await run('--for', 'dashboard', join(dir, 'part'))
  t.equal(part.code, 1)
  t.strictSame(Object.fromEntries(readKeyValues(part.out, 'out')), { allow_dashboard: '10.1.0.0/16' })
  t.match(part.out, /^# not translated, line 2: Require host .*example\.org \(/m)
  t.notMatch(part.out, '\x1b')
  const json = await run('--json', join(dir, 'part'))
  t.match(JSON.parse(json.out), { settings: { allow_dashboard: '10.1.0.0/16' }, untranslated: [{ line: 2 }] })
  for (const [words, message] of [
    [[join(dir, 'broken')], /line 1: <RequireAny> is never closed/],
    [[join(dir, 'nowhere')], /can't be read \(ENOENT\)/],
    [[join(dir, 'folder')], /it is no file/],
    [['--for', 'x', join(dir, 'whole')], /--for: one of/]
  ] as const) {
    const { code, err, out } = await run(...words)
    t.strictSame([code, out], [2, ''], words.join(' '))
    t.match(err, message)
  }
})
