import { readFileSync } from 'node:fs'

/** This product's version, from its package.json (one or two folders up, built or not). */
export function ownVersion(): string {
  for (const up of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as Record<
        string,
        string
      >
      if (name === 'fail2ban-report' && version !== undefined) return version
    } catch {
      // Not in this folder: look one further up.
    }
  }
  return '0.0.0'
}
