import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { HourBars } from './chart.js'

/** Seconds. */
const HOUR = 3600

/**
 * Draws bars.
 * @param format an hour in words @param point told the place of the bar that is pointed at, undefined for none
 */
export function draw(
  place: HTMLElement,
  height: number,
  { hours, bans }: HourBars,
  format: (hour: number) => string,
  point: (at: number | undefined) => void
): uPlot {
  const style = getComputedStyle(place)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--chart-text'),
    grid: { stroke: colour('--chart-line'), width: 1 },
    ticks: { show: false },
    font: '12px system-ui, sans-serif'
  }
  return new uPlot(
    {
      width: place.clientWidth,
      height,
      tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), 'UTC'),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      // A bar begins where its hour does: the last hour needs its room too.
      scales: {
        x: { range: (_plot, first, last) => [first, last + HOUR] },
        y: { range: (_plot, _least, most) => [0, Math.max(4, most * 1.05)] }
      },
      axes: [
        { ...axis, space: 80, size: 30, values: (_plot, ticks) => ticks.map(format) },
        { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000] }
      ],
      series: [
        {},
        {
          stroke: colour('--chart-bar'),
          fill: colour('--chart-bar'),
          width: 0,
          points: { show: false },
          ...(uPlot.paths.bars === undefined
            ? {}
            : { paths: uPlot.paths.bars({ size: [0.8, 60], align: 1 }) })
        }
      ],
      hooks: { setCursor: [plot => point(plot.cursor.idx ?? undefined)] }
    },
    [hours, bans],
    place
  )
}
