import { useState } from 'preact/hooks'

/**
 * The servers ticked in a dialog. Where there is only one, it is ticked already.
 * @param begin those the dialog was opened for @param names all, as far as they are known yet
 */
export function useChosenServers(
  begin: string[] = [],
  names: string[] = []
): [string[], (servers: string[]) => void] {
  const [touched, setTouched] = useState(begin.length > 0 ? begin : undefined)
  return [touched ?? (names.length === 1 ? names : []), setTouched]
}
