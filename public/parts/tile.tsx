/** A number with its name; the whole tile leads to where it comes from. */
export function Tile({
  label,
  value,
  detail,
  to,
  tone
}: {
  label: string
  /** Undefined while it is not known yet. */
  value: string | undefined
  detail: string | undefined
  to?: string
  tone?: 'bad' | 'wait' | undefined
}) {
  const inside = (
    <>
      <span class="tile-label">{label}</span>
      <span class={`tile-value ${tone ?? ''}`}>{value ?? '…'}</span>
      <span class="tile-detail">{detail ?? '\u00a0'}</span>
    </>
  )
  return to === undefined ? (
    <div class="tile">{inside}</div>
  ) : (
    <a class="tile" href={to}>
      {inside}
    </a>
  )
}
