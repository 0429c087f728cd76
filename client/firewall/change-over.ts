import * as Type from 'typebox'
import type { JsonFiles, JsonKind } from '../../common/json-file.js'
import { shapeCheck } from '../../common/shapes.js'
import { FIREWALL_KINDS } from './choose.js'
import type { Firewall } from './types.js'

type Backend = Firewall['name']

const BACKENDS = FIREWALL_KINDS.filter(kind => kind !== 'auto')
const USED: JsonKind<{ backend?: Backend }> = {
  check: shapeCheck(Type.Object({ backend: Type.Enum(BACKENDS) })),
  empty: () => ({}),
  corrupt: 'set-aside',
  mode: 0o640,
  rows: false
}

/**
 * Takes this product's blocks out of the firewall that held them before, once another one holds them: an address
 * that is unblocked later must not stay blocked in a firewall nobody looks at any more. A dry run changes over
 * nothing. Killed in between, the next call does it again.
 * @param path the file that remembers the backend last used
 * @param now the backend that holds the blocks now
 * @param choose gives the former one
 * @returns the backend that was cleared
 * @throws ProductError FIREWALL or COMMAND when the former one can't be cleared; it is tried again next time
 */
export async function changeOver(
  files: JsonFiles,
  path: string,
  now: Backend,
  choose: (former: Backend) => Promise<Firewall>
): Promise<Backend | undefined> {
  if (now === 'dry-run') return undefined
  const { backend: former } = (await files.read(path, USED)).value
  if (former === now) return undefined
  if (former !== undefined) await (await choose(former)).clear()
  await files.change(path, USED, () => ({ value: { backend: now }, result: undefined }))
  return former
}
