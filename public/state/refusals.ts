import { en } from '../messages/en.js'
import type { Refusal, Told } from './api.js'
import { t, type MessageKey } from './i18n.js'

/** A refusal in the reader's language; in the server's words where the page has none for it. */
export function wordsOf(problem: Refusal): string {
  if (problem.status === 0) return t('app.noAnswer')
  const key = keyOf(`error.${problem.code}`)
  if (key === undefined) return problem.message
  return problem.detail === '' ? t(key) : `${t(key).replace(/\.$/, '')}: ${problem.detail}`
}

/** Why one address was refused, or what failed. */
export function whyOf({ why, message, ip, server }: Told): string {
  const key = why === undefined ? undefined : keyOf(`refusal.${why.code}`)
  if (why === undefined || key === undefined) return message.replace(/^refused: /, '')
  const reason = t(key, { ip, server, hit: why.hit }) + (why.note === '' ? '' : ` (${why.note})`)
  const meets = why.hit !== ip && why.code !== 'too-wide'
  return t(meets ? 'refusal.meets' : 'refusal.is', { ip, hit: why.hit, reason })
}

function keyOf(text: string): MessageKey | undefined {
  return text in en ? (text as MessageKey) : undefined
}
