import * as Type from 'typebox'
import { parseAddress, type Address } from '../../common/address.js'
import type { JsonFiles, JsonKind } from '../../common/json-file.js'
import { shapeCheck } from '../../common/shapes.js'
import { Blocks } from './blocks.js'
import type { Firewall, InForce } from './types.js'

const BLOCKS: JsonKind<string[]> = {
  check: shapeCheck(Type.Array(Type.String())),
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  rows: true
}

/** A firewall that is only a JSON file (an array of addresses): shows a whole cycle without root. */
export class DryRunFirewall implements Firewall {
  readonly name = 'dry-run'

  constructor(
    private readonly files: JsonFiles,
    private readonly path: string
  ) {}

  async list(): Promise<InForce> {
    const { value } = await this.files.read(this.path, BLOCKS)
    return { own: addressesOf(value), alike: new Set() }
  }

  async apply(add: readonly Address[], remove: readonly Address[]): Promise<InForce | undefined> {
    const written = await this.files.change(this.path, BLOCKS, ({ value }) => {
      const blocks = addressesOf(value)
      const before = blocks.size
      for (const block of remove) blocks.delete(block)
      const removed = before - blocks.size
      for (const block of add) blocks.add(block)
      const same = removed === 0 && blocks.size === before
      return same ? { result: false } : { value: [...blocks], result: true }
    })
    return written ? this.list() : undefined
  }

  async clear(): Promise<void> {
    await this.files.change(this.path, BLOCKS, () => ({ value: [], result: undefined }))
  }
}

function addressesOf(texts: readonly string[]): Blocks {
  return new Blocks(texts.flatMap(text => parseAddress(text) ?? []))
}
