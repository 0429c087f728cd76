/** Different public addresses. */
export function ipsOf(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${11 + (n >> 14)}.${(n >> 7) & 127}.${n & 127}.9`)
}
