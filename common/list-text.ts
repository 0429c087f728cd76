/**
 * What makes one list out of another: `set` puts a row at a place, one behind the end of the list for each new row;
 * `gone` are places whose rows go. Places are those of the older list and ascend; none is named twice.
 */
export interface RowChanges<T> {
  set: readonly (readonly [place: number, row: T])[]
  gone: readonly number[]
}

/**
 * What makes `after` out of `before`, told by identity: a row that is the very same object is the same row.
 * @returns undefined when rows changed their order, or new ones stand between those that stayed
 */
export function changesBetween<T extends object>(
  before: readonly T[],
  after: readonly T[]
): RowChanges<T> | undefined {
  return sameplaced(before, after) ?? moved(before, after)
}

/** The changes if no row goes, and most stay where they are; undefined else. */
function sameplaced<T>(before: readonly T[], after: readonly T[]): RowChanges<T> | undefined {
  if (after.length < before.length) return undefined
  const set: (readonly [number, T])[] = []
  for (let place = 0; place < after.length; place++) {
    const row = after[place] as T
    if (place < before.length && row === before[place]) continue
    set.push([place, row])
    // Shifted rows would all count as others.
    if (set.length > before.length / 2 && place < before.length) return undefined
  }
  return { set, gone: [] }
}

function moved<T>(before: readonly T[], after: readonly T[]): RowChanges<T> | undefined {
  const places = new Map<T, number>()
  const set: (readonly [number, T])[] = []
  const gone: number[] = []
  let place = 0
  /** New rows that no place is found for yet. */
  let fresh: T[] = []
  const upTo = (end: number) => {
    for (const row of fresh) {
      if (place === end && end < before.length) return false
      set.push([place++, row])
    }
    fresh = []
    while (place < end) gone.push(place++)
    return true
  }
  for (let at = 0; at < after.length; at++) {
    const row = after[at] as T
    if (fresh.length === 0) {
      // Most changes are of single rows: told by what stands behind them, without a map of all rows.
      if (row !== before[place] && row === before[place + 1]) gone.push(place++)
      if (row === before[place]) {
        place++
        continue
      }
      if (place + 1 < before.length && after[at + 1] === before[place + 1]) {
        set.push([place++, row])
        continue
      }
    }
    if (places.size === 0 && place < before.length) before.forEach((known, there) => places.set(known, there))
    const known = places.get(row)
    if (known === undefined) fresh.push(row)
    else if (known < place || !upTo(known)) return undefined
    else place = known + 1
  }
  return upTo(before.length) ? { set, gone } : undefined
}

/** Makes the changes. @returns undefined when they can't be made of this list */
export function changedRows<T>(before: readonly T[], { set, gone }: RowChanges<T>): T[] | undefined {
  if (!fits(before.length, set, gone)) return undefined
  const after = [...before]
  for (const [place, row] of set) after[place] = row
  if (gone.length === 0) return after
  const going = new Set(gone)
  return after.filter((_, place) => !going.has(place))
}

/**
 * Makes the changes in the text of a list of `rows` rows: the very bytes of the changed list's `serialise`, for a tenth
 * of its work. @returns undefined when they can't be made, or the text isn't one as `serialise` writes it
 */
export function changedText<T>(text: string, rows: number, { set, gone }: RowChanges<T>): string | undefined {
  if (!fits(rows, set, gone)) return undefined
  const starts = rowStarts(text, rows)
  if (starts === undefined) return undefined
  const startOf = (place: number) => starts[place] ?? text.length - END.length + SEPARATOR.length
  // Glued at once: each text that is put before or behind a long one is one more copy of it.
  const pieces: string[] = []
  const add = (piece: string) => pieces.push(pieces.length === 0 ? BEGIN : SEPARATOR, piece)
  let from = 0
  let nextSet = 0
  let nextGone = 0
  const keepUpTo = (place: number) => {
    const end = Math.min(place, rows)
    if (from < end) add(text.slice(startOf(from), startOf(end) - SEPARATOR.length))
  }
  while (nextSet < set.length || nextGone < gone.length) {
    const [place, row] = set[nextSet] ?? [Infinity]
    const going = gone[nextGone] ?? Infinity
    const at = Math.min(place, going)
    keepUpTo(at)
    if (place < going) {
      add(JSON.stringify(row))
      nextSet++
    } else nextGone++
    from = at + 1
  }
  keepUpTo(rows)
  if (pieces.length === 0) return '[]\n'
  pieces.push(END)
  return pieces.join('')
}

const BEGIN = '[\n'
const SEPARATOR = ',\n'
const END = '\n]\n'

/** Whether changes can be made of a list of that many rows: places ascend, none is skipped behind the end. */
function fits(rows: number, set: RowChanges<unknown>['set'], gone: readonly number[]): boolean {
  let last = -1
  const setPlaces = new Set<number>()
  for (const [place] of set) {
    if (!Number.isInteger(place) || place <= last || (place >= rows && place !== Math.max(last + 1, rows)))
      return false
    last = place
    setPlaces.add(place)
  }
  last = -1
  for (const place of gone) {
    if (!Number.isInteger(place) || place <= last || place >= rows || setPlaces.has(place)) return false
    last = place
  }
  return true
}

/**
 * Where each row begins in a list's text; undefined when the text isn't one row a line. Told without parsing: as many
 * opening braces as rows, each at the beginning of a line, leave no room for an object within a row nor for two rows
 * in a line. The text must be JSON of an array of that many objects.
 */
function rowStarts(text: string, rows: number): Uint32Array | undefined {
  const starts = new Uint32Array(rows)
  if (rows === 0) return text === '[]\n' ? starts : undefined
  if (!text.startsWith(BEGIN) || !text.endsWith('}' + END)) return undefined
  let row = 0
  let line = BEGIN.length
  for (; row < rows; row++) {
    if (text[line] !== '{') return undefined
    starts[row] = line
    const end = text.indexOf('\n', line)
    if (row < rows - 1 && !(text[end - 1] === ',' && text[end - 2] === '}')) return undefined
    const other = text.indexOf('{', line + 1)
    if (other !== -1 && other < end) return undefined
    line = end + 1
  }
  return line === text.length - 2 ? starts : undefined
}
