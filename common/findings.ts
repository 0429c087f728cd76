import { wordsOf } from './errors.js'

/** One thing `doctor` looked at. */
export interface Finding {
  level: 'ok' | 'warning' | 'problem'
  /** What was looked at and what was seen. */
  what: string
  /** How to mend it; for warnings and problems. */
  mend?: string
}

/** Runs one look; a look that fails is itself a problem. */
export async function look(
  what: string,
  mend: string,
  check: () => Promise<Finding[] | Finding>
): Promise<Finding[]> {
  try {
    const found = await check()
    return Array.isArray(found) ? found : [found]
  } catch (error) {
    return [{ level: 'problem', what: `${what}: ${wordsOf(error)}`, mend }]
  }
}
