import type { Installation } from './installation.js'
import type { Namespace } from './netns.js'

/**
 * Logs in at a server within a namespace with curl, as any HTTP client would.
 * @param as a user that exists there
 * @returns posts to the API; it throws when a request is not taken
 */
export async function apiByCurl(
  at: Installation,
  where: Namespace,
  as: { username: string; password: string }
): Promise<(name: string, body: object) => Promise<void>> {
  const jar = at.path('cookies')
  const curl = async (name: string, body: object, ...more: string[]) => {
    const words = ['-sS', '-b', jar, '-c', jar, '-H', 'content-type: application/json', ...more]
    const reply = await where.exec('curl', ...words, '-d', JSON.stringify(body), `${at.url}/api/${name}`)
    return JSON.parse(reply) as { success: boolean; csrf: string }
  }
  const { csrf } = await curl('login', as)
  return async (name, body) => {
    const reply = await curl(name, body, '-H', `x-csrf-token: ${csrf}`)
    if (!reply.success) throw new Error(`${name}: ${JSON.stringify(reply)}`)
  }
}
