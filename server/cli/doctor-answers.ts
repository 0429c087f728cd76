import { existsSync } from 'node:fs'
import { messageOf, ProductError } from '../../common/errors.js'
import type { Finding } from '../../common/findings.js'
import { serverFileName, type ServerConfig } from '../config.js'
import type { Terminal } from './context.js'
import { askHealth, healthUrl } from './health.js'
import { UNIT, UNIT_PATH } from './service.js'

/** Looks whether the server answers where it is configured to listen, and is well. */
export async function checkAnswers(config: ServerConfig, env: Terminal['env']): Promise<Finding[]> {
  if (config.port === 0) return [{ level: 'ok', what: 'the server takes any free port: it is not asked' }]
  const url = healthUrl(config)
  // Where nothing says that a server is to run here, it may be tried out, stopped, or on another port.
  const expected = existsSync(UNIT_PATH) || existsSync(serverFileName(env))
  const start = existsSync(UNIT_PATH)
    ? `systemctl enable --now ${UNIT}; journalctl -u ${UNIT} says why it ended`
    : 'start it: fail2ban-report serve'
  try {
    await askHealth(url)
    return [{ level: 'ok', what: `the server answers: ${url}` }]
  } catch (error) {
    const answered = error instanceof ProductError && error.code === 'UNWELL'
    const what = answered ? messageOf(error) : `the server does not run, or not there: ${messageOf(error)}`
    // That is what our own server says, wherever it was started from.
    if (answered && (expected || /answered 507/.test(what)))
      return [{ level: 'problem', what, mend: 'mend what it names, or look into its log' }]
    if (expected) return [{ level: 'problem', what, mend: start }]
    return [{ level: 'ok', what: answered ? `another program answers where it would listen: ${what}` : what }]
  }
}
