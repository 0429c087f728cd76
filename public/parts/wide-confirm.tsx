import { isWide, parseIp } from '../data/ip.js'
import { MANY } from '../state/blocking.js'
import { t } from '../state/i18n.js'

/** What makes a change wide, in words; empty when it is not. */
export function wideWords(ips: readonly string[]): string[] {
  const networks = ips.flatMap(ip => {
    const range = parseIp(ip)
    if (range === undefined || !isWide(range)) return []
    return range.family === 4
      ? [t('block.wide.network', { ip, n: 2 ** (32 - range.bits) })]
      : [t('block.wide.network6', { ip })]
  })
  return ips.length > MANY ? [...networks, t('block.wide.many', { n: ips.length })] : networks
}

/** Says what is wide and has it confirmed; nothing where nothing is. */
export function WideConfirm({
  words,
  sure,
  onChange
}: {
  words: readonly string[]
  sure: boolean
  onChange: (sure: boolean) => void
}) {
  if (words.length === 0) return null
  return (
    <div class="banner wait">
      {words.map(line => (
        <p key={line}>{line}</p>
      ))}
      <label class="check">
        <input type="checkbox" checked={sure} onChange={event => onChange(event.currentTarget.checked)} />
        {t('block.wide.confirm')}
      </label>
    </div>
  )
}
