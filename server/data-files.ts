import type { RequestHooks } from './request-hooks.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route's path holds names of hosts and jails, which its handler checks; it serves no file. */
    namesInPath?: boolean
  }
}

// sync-contract.md §3: asked for by URL, these are never there, whatever the path tricks.
const NEVER_SERVED =
  /(^|\/)\.|\.(json|config|sh|htaccess|htpasswd|env|log|jsonl(\.\d+)?|lock|corrupt-[^/]*)(\/|$)/i

/** True for a URL path that names a data file, a settings file or a dot-file, however it is encoded. */
export function namesDataFile(url: string): boolean {
  let path = url.split('?', 1)[0] ?? ''
  for (let layer = 0; layer < 5; layer++) {
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    if (/[\u0000-\u001f\\]/.test(path) || NEVER_SERVED.test(path)) return true
    if (!path.includes('%')) return false
    const decoded = decode(path)
    if (decoded === undefined) return true
    path = decoded
  }
  return true
}

/**
 * The URL itself, or one that is never there when its path can't be decoded: the router answers such a path with
 * its own error, past all hooks and the headers they set.
 */
export function decodable(url: string): string {
  if (!url.includes('%')) return url
  return decode(url.split('?', 1)[0] ?? '') === undefined ? '/.undecodable' : url
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

/** Answers 404 to such a URL before any route sees it, but for routes whose path holds names. */
export function refuseDataFiles(hooks: RequestHooks): void {
  hooks.look((request, reply) => {
    if (!namesDataFile(request.raw.url ?? '/')) return true
    // Asked last: Fastify puts a route's options together anew each time.
    const { config, url } = request.routeOptions
    // A route's own path, to the letter, names none.
    if (config.namesInPath === true || url === request.raw.url) return true
    void reply.code(404).send({ success: false, message: 'Not found.' })
    return false
  })
}
