import { parseAddress, prefixOf, type Address } from '../../common/address.js'
import type { Family } from './families.js'

/** The comment that marks our rules; `ufw status` shows it. */
export const UFW_COMMENT = 'fail2ban-report'

const COMMENT_FIELD = `comment=${Buffer.from(UFW_COMMENT).toString('hex')}`
const ANYWHERE = { 4: '0.0.0.0/0', 6: '::/0' } as const

/** ufw's chain of user rules for incoming packets. */
export const USER_CHAIN = { 4: 'ufw-user-input', 6: 'ufw6-user-input' } as const

/** A rules file of ufw (user.rules, user6.rules), its plain denials told apart from all else. */
export interface UfwRules {
  /** Lines up to and with `### RULES ###`. */
  head: string[]
  /** What follows, in order: our rules, denials of the same form by others, and all other lines verbatim. */
  parts: { block?: Address; own: boolean; lines: string[] }[]
}

/**
 * Reads a rules file. ufw writes each rule as an empty line, a line `### tuple ### <action> <proto> <dport> <dst>
 * <sport> <src> <direction> [comment=<hex>]` and the rules for iptables; the tuples are what it reads back itself.
 * @returns undefined when the file has no rules section
 */
export function parseUfwRules(text: string, family: Family): UfwRules | undefined {
  const lines = text.split('\n')
  const start = lines.indexOf('### RULES ###') + 1
  if (start === 0) return undefined
  const parts: UfwRules['parts'] = []
  let at = start
  while (at < lines.length) {
    const tuple = lines[at] === '' ? at + 1 : at
    const found = plainDenial(lines[tuple] ?? '', family)
    let next = at + 1
    if (found !== undefined) {
      next = tuple + 1
      while (lines[next]?.startsWith('-') === true) next++
    }
    parts.push({ ...(found ?? { own: false }), lines: lines.slice(at, next) })
    at = next
  }
  return { head: lines.slice(0, start), parts }
}

function plainDenial(line: string, family: Family): { block: Address; own: boolean } | undefined {
  const start = '### tuple ### deny any any '
  if (!line.startsWith(start)) return undefined
  const [dst, sport, src, direction, comment, ...rest] = line.slice(start.length).trim().split(/\s+/)
  if (dst !== ANYWHERE[family] || sport !== 'any' || direction !== 'in' || rest.length > 0) return undefined
  const block = parseAddress(src ?? '')
  // `deny from any` is a policy, not a block.
  if (block === undefined || prefixOf(block) === 0) return undefined
  return { block, own: comment === COMMENT_FIELD }
}

/** The file with these blocks of ours ahead of all other rules, and without the denials of `remove`. */
export function ufwRulesText(
  rules: UfwRules,
  family: Family,
  own: Iterable<Address>,
  remove: ReadonlySet<Address>
): string {
  const lines = [...rules.head]
  for (const block of own) {
    lines.push(
      '',
      `### tuple ### deny any any ${ANYWHERE[family]} any ${block} in ${COMMENT_FIELD}`,
      `-A ${USER_CHAIN[family]} -s ${block} -j DROP`
    )
  }
  for (const part of rules.parts) {
    if (part.own || (part.block !== undefined && remove.has(part.block))) continue
    for (const line of part.lines) lines.push(line)
  }
  return lines.join('\n')
}
