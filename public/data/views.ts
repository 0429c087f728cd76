/** The page's views, as its address names them and in the order of its menu. */
export const VIEWS = [
  'overview',
  'events',
  'blocklists',
  'whitelist',
  'statistics',
  'warnings',
  'commands',
  'address'
] as const
export type View = (typeof VIEWS)[number]
