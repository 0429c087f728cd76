/**
 * Sets a value of a map behind all others, and lets the one go that was set longest ago when there are more.
 * @param most entries the map may have
 */
export function keepLatest<K, V>(map: Map<K, V>, key: K, value: V, most: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= most) return
  // Looked for only now: the places of all that was taken out before lie ahead of it.
  const oldest = map.keys().next()
  if (oldest.done !== true) map.delete(oldest.value)
}
