/** One sample of a text in Prometheus' format. */
export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

/** A family: what HELP and TYPE say, and its samples. */
export interface Family {
  name: string
  help: string
  type: string
  samples: Sample[]
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped']
// prom-client's spelling of NaN, which Prometheus takes.
const NUMBER = /^(?:[+-]?Inf|Na[Nn]|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/

/**
 * Reads the text format 0.0.4 and takes nothing that is merely like it: every sample stands below the HELP and TYPE of
 * its family, no family and no series comes twice, label values are escaped, counters end in _total and never run
 * backwards, histograms are whole.
 * @throws Error naming the line
 */
export function parseMetrics(text: string): Map<string, Family> {
  const families = new Map<string, Family>()
  const series = new Set<string>()
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  let family: Family | undefined
  let help: { name: string; text: string } | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue
    const [, keyword, about = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (keyword === 'HELP') {
      if (!NAME.test(about) || families.has(about)) throw new Error(`bad or second HELP: ${line}`)
      if (/\\(?![\\n])/.test(rest)) throw new Error(`bad escape: ${line}`)
      help = { name: about, text: rest }
      family = undefined
    } else if (keyword === 'TYPE') {
      if (help?.name !== about) throw new Error(`TYPE without its HELP: ${line}`)
      if (!TYPES.includes(rest)) throw new Error(`no such type: ${line}`)
      // prom-client's own gauges of Node.js don't keep to it.
      if ((rest === 'counter') !== (about.endsWith('_total') && !about.startsWith('nodejs_')))
        throw new Error(`_total is for counters: ${line}`)
      family = { name: about, help: help.text, type: rest, samples: [] }
      families.set(about, family)
    } else {
      if (family === undefined || line.startsWith('#')) throw new Error(`no sample: ${line}`)
      const sample = parseSample(line)
      const suffix = sample.name.slice(family.name.length)
      const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
      if (!sample.name.startsWith(family.name) || !suffixes.includes(suffix))
        throw new Error(`not of ${family.name}: ${line}`)
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()])
      if (series.has(key)) throw new Error(`a second time: ${line}`)
      series.add(key)
      if (family.type === 'counter' && !(sample.value >= 0)) throw new Error(`a negative count: ${line}`)
      family.samples.push(sample)
    }
  }
  for (const { type, samples } of families.values()) if (type === 'histogram') checkHistogram(samples)
  return families
}

/** The value of one series; undefined when it is not there. */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Record<string, string> = {}
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''))
  const wanted = JSON.stringify(Object.entries(labels).sort())
  return family?.samples.find(
    sample => sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted
  )?.value
}

/** The names a query may use: with suffixes, where the type has them. */
export function seriesNames(families: ReadonlyMap<string, Family>): Set<string> {
  return new Set([...families.values()].flatMap(({ samples }) => samples.map(({ name }) => name)))
}

function parseSample(line: string): Sample {
  const [, name = '', rest = ''] = /^([^{ ]+)(.*)$/.exec(line) ?? []
  if (!NAME.test(name)) throw new Error(`bad name: ${line}`)
  const labels: Record<string, string> = {}
  let left = rest
  if (left.startsWith('{')) {
    left = left.slice(1)
    while (!left.startsWith('}')) {
      const [all, label = '', value = ''] =
        /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\n"])*)"/.exec(left) ?? []
      if (all === undefined || Object.hasOwn(labels, label)) throw new Error(`bad labels: ${line}`)
      labels[label] = value.replaceAll(/\\([\\n"])/g, (_, one: string) => (one === 'n' ? '\n' : one))
      left = left.slice(all.length)
      if (left.startsWith(',')) left = left.slice(1)
      else if (!left.startsWith('}')) throw new Error(`bad labels: ${line}`)
    }
    left = left.slice(1)
  }
  const text = left.startsWith(' ') ? left.slice(1) : ''
  if (!NUMBER.test(text)) throw new Error(`no number: ${line}`)
  return {
    name,
    labels,
    value: text.endsWith('Inf') ? Infinity * (text.startsWith('-') ? -1 : 1) : Number(text)
  }
}

function checkHistogram(samples: readonly Sample[]): void {
  const last = new Map<string, { count: number; bound: number }>()
  const keyOf = (labels: Record<string, string>) =>
    JSON.stringify(
      Object.entries(labels)
        .filter(([label]) => label !== 'le')
        .sort()
    )
  for (const { name, labels, value } of samples) {
    const key = keyOf(labels)
    if (name.endsWith('_bucket')) {
      const bound = labels.le === '+Inf' ? Infinity : Number(labels.le)
      const before = last.get(key)
      if (before !== undefined && (value < before.count || bound <= before.bound))
        throw new Error(`buckets of ${name} out of order`)
      last.set(key, { count: value, bound })
    } else if (name.endsWith('_count')) {
      const { count, bound } = last.get(key) ?? {}
      if (bound !== Infinity || count !== value) throw new Error(`${name} is not its last bucket`)
    }
  }
}
