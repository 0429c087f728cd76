/** Keys of the bash client's `config.env` and what they are called here (sync-contract.md, product row R5). */
const NAMES: Record<string, string> = {
  CLIENT_USER: 'username',
  CLIENT_PASS: 'password',
  CLIENT_UUID: 'uuid',
  ENDPOINT_URL: 'index_url',
  UPDATE_URL: 'update_url',
  DOWNLOAD_URL: 'download_url',
  BACKSYNC_URL: 'syncback_url',
  OUTPUT_JSON_DIR: 'events_dir',
  BLOCKLIST_DIR: 'blocklist_dir',
  CLIENT_LOG: 'client_log',
  LOGFILE: 'log'
}

/** True for the keys of an existing bash client's file. */
export function isPhpClientFile(values: ReadonlyMap<string, string>): boolean {
  return values.has('CLIENT_USER') || values.has('ENDPOINT_URL')
}

/** The same settings under our names; what only the bash scripts use is passed over. */
export function fromPhpClientFile(values: ReadonlyMap<string, string>): Map<string, string> {
  const own = new Map<string, string>()
  for (const [key, value] of values) {
    const name = NAMES[key]
    if (name !== undefined && value !== '') own.set(name, value)
  }
  return own
}
