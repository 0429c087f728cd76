import * as Type from 'typebox'

/** The one shape of every error; `error-replies.ts` makes them. */
export const Failure = Type.Object({ success: Type.Literal(false), message: Type.String() })

/** Error replies, for every route's schema. */
export const FAILURES = { '4xx': Failure, '5xx': Failure }

/** Names as they come in; `serverName` and `listOfJail` check them. */
export const ServerText = Type.String({ minLength: 1, maxLength: 64 })
/** A day as `YYYYMMDD` or `YYYY-MM-DD`. */
export const DayText = Type.String({ pattern: '^(\\d{8}|\\d{4}-\\d{2}-\\d{2})$' })
export const JailText = Type.String({ minLength: 1, maxLength: 256 })
