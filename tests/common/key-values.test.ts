import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { ProductError } from '../../common/errors.js'
import { readKeyValues } from '../../common/key-values.js'

/** The value of KEY, or the error's text. */
function read(text: string): string | undefined {
  try {
    return readKeyValues(text, 'config.env').get('KEY')
  } catch (error) {
    if (!(error instanceof ProductError) || error.code !== 'CONFIG') throw error
    return `error ${error.message}`
  }
}

const understood: [text: string, value: string | undefined][] = [
  ['KEY=value', 'value'],
  ['KEY="a value"', 'a value'],
  ['KEY=\'a $value `x` "q"\'', 'a $value `x` "q"'],
  ['export KEY=value', 'value'],
  ['  KEY=value  ', 'value'],
  ['KEY = value', 'value'],
  ['KEY=', ''],
  ['KEY=""', ''],
  ['# KEY=value', undefined],
  ['\n\nKEY=value\n', 'value'],
  ['KEY=value # why', 'value'],
  ['KEY="a # b" # why', 'a # b'],
  ['KEY=a#b', 'a#b'],
  ['KEY="value"\r\n', 'value'],
  ['KEY=value\r\nOTHER=x\r\n', 'value'],
  ['\ufeffKEY=value', 'value'],
  ['BASE=/srv/x\nKEY="$BASE/events"', '/srv/x/events'],
  ['BASE=/srv/x\nKEY=${BASE}/events', '/srv/x/events'],
  ["BASE=/srv/x\nKEY='$BASE'", '$BASE'],
  ['KEY=one\nKEY=two', 'two'],
  ['KEY=a"b c"\'d e\'f', 'ab cd ef'],
  ['KEY="a\\"b\\$c\\\\d"', 'a"b$c\\d'],
  ['KEY="a\\b"', 'a\\b'],
  ['KEY=a\\ b', 'a b'],
  ['KEY="costs 5$"', 'costs 5$'],
  ['KEY="5$ and more"', '5$ and more'],
  ['KEY=https://reports.example/x?a=b', 'https://reports.example/x?a=b']
]

const refused: [text: string, why: RegExp][] = [
  ['KEY=$(id)', /line 1: \$… is not understood/],
  ['KEY="$(id)"', /line 1: \$… is not understood/],
  ['KEY=`id`', /line 1: ` is not understood, nothing in this file is run/],
  ['KEY="`id`"', /line 1: a command in ` is not run/],
  ['A=1\n base-path = /x', /line 2: write base_path$/],
  ['A=1\n\nid', /line 3: KEY=value is needed; nothing in this file is run/],
  ['KEY=a; id', /line 1: ; is not understood/],
  ['KEY=a && id', /line 1: put a value with blanks in quotes/],
  ['KEY=a|id', /line 1: \| is not understood/],
  ['KEY=(a b)', /line 1: \( is not understood/],
  ['KEY+=a', /line 1: KEY=value is needed/],
  ['KEY=${OTHER:-x}', /line 1: \$… is not understood/],
  ['KEY=$OTHER', /line 1: a \$NAME is not set further up/],
  ['KEY="a', /line 1: a closing " is missing/],
  ["KEY='a", /line 1: a closing ' is missing/],
  ['KEY=a b', /line 1: put a value with blanks in quotes/],
  ['source /etc/x', /line 1: KEY=value is needed/],
  ['if true; then KEY=a; fi', /line 1: KEY=value is needed/],
  // What bash would read otherwise than it looks.
  ['KEY=a\\', /line 1: .*next line/],
  ['KEY=~/events', /line 1: ~ is not understood/],
  ['KEY="a$1b"', /line 1: \$… is not understood/],
  ['KEY="a$$b"', /line 1: \$… is not understood/],
  ['KEY="a$?b"', /line 1: \$… is not understood/],
  ['KEY=a\0b', /line 1: .*NUL/]
]

t.test('lines are read as bash assigns them', async t => {
  for (const [text, value] of understood) t.equal(read(text), value, JSON.stringify(text))
})

t.test('anything else is refused with file and line, and nothing is run', async t => {
  for (const [text, why] of refused) t.match(read(text), why, JSON.stringify(text))
})

t.test('bash reads the same', async t => {
  for (const [text, value] of understood) {
    // Windows line ends, a byte order mark and blanks around = are what bash does not take.
    if (value === undefined || /\r|\ufeff| = /.test(text)) continue
    const { stdout } = spawnSync('bash', ['-c', `${text}\nprintf %s "$KEY"`], { encoding: 'utf8' })
    t.equal(stdout, value, JSON.stringify(text))
  }
})

t.test('no value ever stands in an error', async t => {
  const secret = 'hunter2'
  const lines = refused.map(([text]) => `PASS="${secret}"\n${text.replace('KEY=', `KEY=${secret}`)}`)
  for (const text of [...lines, secret, `KEY="a$${secret}"`, `KEY="${secret}`]) {
    const told = read(text)
    if (told?.startsWith('error') === true) t.notMatch(told, secret)
  }
})

t.test('any text is read or refused with a message, never anything else', async () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...Array.from('KEY=$`"\'\\ \n\r#(){}~;ä1')), maxLength: 30 }),
      text => {
        read(text)
      }
    ),
    { numRuns: 3000, seed: 1 }
  )
})
