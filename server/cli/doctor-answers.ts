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
  let answer
  try {
    answer = await askHealth(url)
  } catch (error) {
    const what = `the server does not run, or not there: ${messageOf(error)}`
    return [expected ? { level: 'problem', what, mend: start } : { level: 'ok', what }]
  }
  const { status, unwell } = answer
  if (unwell === undefined) return [{ level: 'ok', what: `the server answers: ${url}` }]
  const what = unwell.message
  // That status is what our own server says, wherever it was started from.
  return expected || status === new ProductError('FOLDER').status
    ? [{ level: 'problem', what, mend: 'mend what it names, or look into its log' }]
    : [{ level: 'ok', what: `another program answers where it would listen: ${what}` }]
}
