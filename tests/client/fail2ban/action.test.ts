import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import t from 'tap'

/** The shell function that the shipped action writes matched lines with, run on a text. */
async function written(text: Buffer | string): Promise<string> {
  const conf = await readFile('client/fail2ban/action.d/fail2ban-report.conf', 'utf8')
  const lines = (/^_lines = (.*)$/m.exec(conf)?.[1] ?? '').replaceAll('%%', '%')
  const { stdout } = spawnSync('sh', ['-c', `${lines}\nlines "$(cat)"`], { input: text })
  return JSON.parse(`"${stdout.toString('utf8')}"`) as string
}

t.test('matched lines become a JSON string, whatever is in them', async t => {
  const hostile = `a "b" \\ \\n $(exit) \`exit\` 'c' %s %d ü 漢 </script>\nsecond`
  t.equal(await written(hostile), hostile)
  t.equal(await written('a\u0001\u001b[31m\u001e\u007f\tb\r\nc'), 'a[31m\nb\nc')
  t.match(await written(Buffer.from([97, 0xff, 0xc3, 98])), /^a.*b$/, 'no good UTF-8')
})

t.test('of long ones the first 4000 bytes are sent', async t => {
  t.equal((await written('"'.repeat(100_000))).length, 4000)
})
