import { t } from '../state/i18n.js'

/** Where addresses and networks are typed or pasted. @param count how many of them the text holds */
export function AddressesField({
  text,
  count,
  onInput
}: {
  text: string
  count: number
  onInput: (text: string) => void
}) {
  return (
    <label>
      {t('block.ips')}
      <textarea
        rows={Math.min(6, Math.max(2, count))}
        spellcheck={false}
        value={text}
        placeholder={t('block.ips.hint')}
        onInput={event => onInput(event.currentTarget.value)}
      />
    </label>
  )
}
