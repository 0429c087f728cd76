import * as Type from 'typebox'
import type { JsonFiles, JsonKind } from '../../common/json-file.js'
import { isListName, type ListName } from '../../common/names.js'
import { shapeCheck } from '../../common/shapes.js'

const NAMES: JsonKind<string[]> = {
  check: shapeCheck(Type.Array(Type.String())),
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  rows: true
}

/**
 * Remembers which lists this host has had. A list that was there and is gone (a corrupt copy, a folder that is not
 * mounted) must not look like a list that asks for nothing: its blocks would be let in.
 */
export class HeldLists {
  constructor(
    private readonly files: JsonFiles,
    private readonly path: string
  ) {}

  /** The names; undefined when nothing is remembered yet. */
  async read(): Promise<ListName[] | undefined> {
    const { value, version } = await this.files.read(this.path, NAMES)
    return version === '' ? undefined : value.filter(isListName)
  }

  /** Remembers these names and no others. */
  async remember(names: readonly ListName[]): Promise<void> {
    const sorted = [...new Set(names)].sort()
    await this.files.change(this.path, NAMES, ({ value, version }) =>
      version !== '' && value.join() === sorted.join()
        ? { result: undefined }
        : { value: sorted, result: undefined }
    )
  }
}
