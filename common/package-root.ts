import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Package {
  folder: string
  version: string
}

/**
 * The folder of this product's package.json: what is shipped beside the program is found from there, whether the
 * program runs from its source, compiled, or bundled.
 */
export function packageRoot(): string {
  return ownPackage().folder
}

/** Where the build puts the dashboard. */
export function builtPages(): string {
  return join(packageRoot(), 'dist', 'public')
}

/** This product's version, from its package.json. */
export function ownVersion(): string {
  return ownPackage().version
}

let found: Package | undefined

function ownPackage(): Package {
  found ??= search(dirname(fileURLToPath(import.meta.url)))
  return found
}

/** @throws Error in a copy that has no package.json above it */
function search(folder: string): Package {
  try {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
      string,
      string
    >
    if (name === 'fail2ban-report' && version !== undefined) return { folder, version }
  } catch {
    // Not in this folder: look one further up.
  }
  const above = dirname(folder)
  if (above === folder) throw new Error('the package.json of fail2ban-report is missing: install it again')
  return search(above)
}
