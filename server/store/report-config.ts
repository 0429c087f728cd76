import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ProductError, systemCode } from '../../common/errors.js'

/** What the dashboard takes from the operator's `fail2ban-report.config` (sync-contract.md §1). */
export interface ReportConfig {
  /** Bans of one jail in one minute that make a warning, and that make it critical; none while switched off. */
  warnings: { warning: number; critical: number } | undefined
  /** Days that the event list offers at once. */
  maxDisplayDays: number
  defaultServer: string
  /** Keys of look-up services; secret. Empty where there is none. */
  keys: { abuseipdb: string; ipinfo: string }
}

/** The operator's settings, among the settings. */
export const REPORT_CONFIG = 'fail2ban-report.config'

/**
 * Reads the settings an existing installation has; what is absent gets the original's values. Settings that are
 * not the dashboard's are ignored.
 * @param folder the settings folder
 * @throws ProductError CONFIG naming the setting whose value can't be used
 */
export async function readReportConfig(folder: string): Promise<ReportConfig> {
  const text = await readFile(join(folder, REPORT_CONFIG), 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return ''
    throw new ProductError(
      'CONFIG',
      `${REPORT_CONFIG} can't be read (${systemCode(error) ?? 'unknown error'})`,
      error
    )
  })
  const values = readIni(text)
  const value = (section: string, key: string) => values.get(`${section}.${key}`.toLowerCase()) ?? ''
  const enabled = !/^(false|0|no|off|none)$/i.test(value('Warnings', 'enabled'))
  return Object.freeze({
    warnings: enabled ? threshold(value('Warnings', 'threshold') || '5:20') : undefined,
    maxDisplayDays: days(value('Fail2Ban-Daily-List-Settings', 'max_display_days') || '7'),
    defaultServer: value('Default Server', 'defaultserver'),
    keys: {
      abuseipdb: value('AbuseIPDB API Key', 'abuseipdb_key'),
      ipinfo: value('IP-Info API Key', 'ipinfo_key')
    }
  })
}

function threshold(text: string): { warning: number; critical: number } {
  const [, warning = 0, critical = 0] = (/^(\d{1,6}):(\d{1,6})$/.exec(text) ?? []).map(Number)
  if (warning < 1 || critical < warning) {
    throw new ProductError('CONFIG', `threshold in ${REPORT_CONFIG}: two numbers such as 5:20 are needed`)
  }
  return { warning, critical }
}

function days(text: string): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (value < 1)
    throw new ProductError('CONFIG', `max_display_days in ${REPORT_CONFIG}: a number from 1 is needed`)
  return value
}

/** PHP's parse_ini_file as far as this file needs it: sections, `key=value`, quotes, comments. */
function readIni(text: string): Map<string, string> {
  const values = new Map<string, string>()
  let section = ''
  for (const line of text.replace(/^\ufeff/, '').split(/\r?\n/)) {
    const head = /^\s*\[(.*)\]\s*$/.exec(line)
    if (head !== null) {
      section = (head[1] ?? '').trim()
      continue
    }
    const pair = /^\s*([^;#=][^=]*?)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^;]*?))\s*(?:;.*)?$/.exec(line)
    if (pair === null) continue
    const [, key = '', double, single, bare] = pair
    values.set(`${section}.${key}`.toLowerCase(), double ?? single ?? bare ?? '')
  }
  return values
}
