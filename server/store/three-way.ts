/**
 * What becomes of one thing that is taken over: `take` it, it is the `same` already, ours stays because it alone
 * changed (or was removed) since it was last taken (`ours`), or because both did (`differs`).
 */
export type Decision = 'take' | 'same' | 'ours' | 'differs'

/**
 * Compares by hash. @param theirs of the other installation's @param taken of theirs when it was last taken over
 * @param ours of what is here now
 */
export function decide(theirs: string, taken: string | undefined, ours: string | undefined): Decision {
  if (ours === theirs) return 'same'
  if (taken === undefined) return ours === undefined ? 'take' : 'differs'
  if (ours === taken) return 'take'
  return theirs === taken ? 'ours' : 'differs'
}
