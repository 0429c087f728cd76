import Type from 'typebox'
import { parseAddress, type Address } from '../../common/address.js'
import type { JsonFiles, JsonKind } from '../../common/json-file.js'
import { shapeCheck } from '../../common/shapes.js'
import type { Firewall, InForce } from './types.js'

const KIND: JsonKind<string[]> = {
  check: shapeCheck(Type.Array(Type.String())),
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  rows: true
}

/** Plays the firewall in a file: a whole cycle without root, for the demo and for trying things out. */
export class DryRun implements Firewall {
  readonly name = 'dry-run'

  constructor(
    private readonly files: JsonFiles,
    private readonly path: string
  ) {}

  async list(): Promise<InForce> {
    const { value } = await this.files.read(this.path, KIND)
    const own = new Set<Address>(value.flatMap(text => parseAddress(text) ?? []))
    return { own, alike: new Set(), packets: new Map() }
  }

  async apply(add: readonly Address[], remove: readonly Address[]): Promise<void> {
    if (add.length + remove.length === 0) return
    await this.files.change(this.path, KIND, ({ value }) => {
      const next = new Set(value)
      for (const item of remove) next.delete(item)
      for (const item of add) next.add(item)
      return { value: [...next], result: undefined }
    })
  }

  async clear(): Promise<void> {
    await this.files.change(this.path, KIND, () => ({ value: [], result: undefined }))
  }
}
