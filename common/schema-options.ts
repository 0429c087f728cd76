import type { Options } from 'ajv'

/**
 * How ajv compiles our schemas. They are ours, checked by their types: to check them against the metaschema would take a
 * starting process longer than all of them together.
 */
export const SCHEMA_OPTIONS: Options = {
  allErrors: false,
  strict: true,
  allowUnionTypes: true,
  meta: false,
  validateSchema: false
}
