import { Ajv, type ErrorObject } from 'ajv'
import type { TSchema } from 'typebox'
import { SCHEMA_OPTIONS } from './schema-options.js'

/** Tells whether a value has a schema's shape, and leaves what is wrong in `errors`. */
export interface CompiledSchema {
  (value: unknown): boolean
  errors?: ErrorObject[] | null
}

const ajv = new Ajv(SCHEMA_OPTIONS)

/** Compiles a schema. In the bundled program, client/vite.config.mjs puts schemas compiled at the build in its place. */
export function compileSchema(schema: TSchema): CompiledSchema {
  return ajv.compile(schema)
}
