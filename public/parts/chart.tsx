import { useEffect, useRef, useState } from 'preact/hooks'
import type uPlot from 'uplot'
import { language, num, t } from '../state/i18n.js'
import { theme } from '../state/preferences.js'

const HEIGHT = 240

/** A bar for each hour. */
export interface HourBars {
  /** Seconds since 1970, of the hour's clock face taken as UTC. */
  hours: number[]
  bans: number[]
}

/** Bans by hour as a picture; pointing at an hour tells its number. The library is loaded when first needed. */
export function Chart({
  data,
  label,
  format
}: {
  data: HourBars
  label: string
  format: (hour: number) => string
}) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>()
  const [pointed, setPointed] = useState('')
  const colours = `${theme.value} ${language.value}`
  useEffect(() => {
    let gone = false
    void import('./plot.js').then(({ draw }) => {
      if (gone || place.current === null) return
      plot.current = draw(place.current, HEIGHT, data, format, at => {
        const [hour, bans] = at === undefined ? [] : [data.hours[at], data.bans[at]]
        setPointed(hour === undefined ? '' : `${format(hour)}: ${num(bans ?? 0)}`)
      })
    })
    return () => {
      gone = true
      plot.current?.destroy()
      plot.current = undefined
    }
  }, [data, colours])
  useEffect(() => {
    if (place.current === null) return
    const watch = new ResizeObserver(([entry]) => {
      if (entry !== undefined) plot.current?.setSize({ width: entry.contentRect.width, height: HEIGHT })
    })
    watch.observe(place.current)
    return () => watch.disconnect()
  }, [])
  const total = data.bans.reduce((sum, one) => sum + one, 0)
  return (
    <figure class="chart">
      <div
        ref={place}
        class="plot"
        role="img"
        aria-label={`${label}: ${t('stat.perHour.label', { n: total })}`}
      />
      <figcaption aria-live="off">{pointed || '\u00a0'}</figcaption>
    </figure>
  )
}
