/**
 * The one table of coded errors. `status` is the HTTP status a server replies with; the message says what
 * to do. Texts in quotes of sync-contract.md §2 and §3 are wire format: existing clients print them.
 */
const TABLE = {
  CLIENT_LIST_MISSING: { status: 500, message: 'Client list not found.' },
  CLIENT_LIST_CORRUPT: { status: 500, message: 'Client list corrupted.' },
  AUTH_USER: { status: 403, message: 'Authentication failed (user/uuid).' },
  AUTH_PASSWORD: { status: 403, message: 'Authentication failed (password).' },
  AUTH_IP: { status: 403, message: 'Authentication failed (ip mismatch).' },
  CALLBACK: { status: 401, message: 'Wrong server name or callback secret.' },
  ADDRESS_REFUSED: { status: 403, message: 'Your address may not come in here.' },
  BASIC_FAILED: { status: 401, message: 'A user name and its password are needed.' },
  HTPASSWD: { status: 503, message: "The server's password file can't be used; its log says more." },
  AUTH_RATE: { status: 429, message: 'Too many failed attempts from this address. Wait and try again.' },
  METHOD: { status: 405, message: 'Method not allowed. Use POST.' },
  NO_FILE: { status: 400, message: 'No file uploaded.' },
  NO_FILES: { status: 400, message: 'No files uploaded.' },
  NO_VALID_FILES: { status: 400, message: 'No valid blocklist files uploaded.' },
  FILE_NAME: { status: 400, message: 'Invalid filename' },
  UPLOAD_JSON: { status: 400, message: 'Invalid JSON in upload.' },
  UPLOAD_CONTENT: { status: 400, message: 'Invalid content in upload' },
  UPLOAD_SIZE: { status: 413, message: 'Upload too large' },
  UPLOAD_FORM: { status: 400, message: 'Malformed form upload' },
  FILE_PARAMETER: { status: 400, message: "Missing 'file' parameter." },
  NOT_IN_DOWNLOAD: { status: 404, message: 'Requested blocklist not found.' },
  NOT_FOUND: { status: 404, message: 'Not found' },
  BAD_INPUT: { status: 400, message: 'Bad input' },
  BAD_ADDRESS: { status: 400, message: 'Not an IPv4 or IPv6 address or network' },
  BAD_NAME: { status: 400, message: 'Not a usable name' },
  CONFLICT: { status: 409, message: 'Conflict' },
  LOGIN_NEEDED: { status: 401, message: 'Log in first.' },
  LOGIN_FAILED: { status: 401, message: 'Wrong user name or password.' },
  KEY_FAILED: { status: 401, message: 'Wrong API key. See "fail2ban-report key list" on the server.' },
  CSRF: { status: 403, message: 'The request did not come from this page. Reload and try again.' },
  ROLE: { status: 403, message: 'Your role may not do this: ask an admin.' },
  KEY_BOUND: {
    status: 403,
    message: 'This key counts for one host only: this needs one that is bound to none.'
  },
  UPGRADE: { status: 426, message: 'This address takes WebSockets only.' },
  BUSY_LIVE: { status: 503, message: 'Too many live connections. Close some, or try again later.' },
  LIST_SET_ASIDE: { status: 409, message: 'The blocklist was corrupt and has been set aside' },
  FILE_CORRUPT: { status: 500, message: 'A data file is corrupt' },
  LOCK_TIMEOUT: {
    status: 503,
    message: 'The file is in use by another process. Try again in a few seconds.'
  },
  LOCK_LOST: {
    status: 503,
    message: 'The lock on a file was lost before it was written; nothing changed. Try again.'
  },
  FOLDER: { status: 507, message: "The server's folders can't be used" },
  DISK: { status: 507, message: 'The file could not be written; nothing changed' },
  UNREADABLE: { status: 500, message: 'A file could not be read' },
  CONFIG: { status: 500, message: 'Bad setting' },
  COMMAND: { status: 500, message: 'A command failed' },
  NOT_HEEDED: { status: 500, message: 'fail2ban does not heed the whitelist' },
  FIREWALL: { status: 500, message: 'The firewall could not be read or changed' },
  NOT_ALLOWED: { status: 403, message: 'This host does not allow it' },
  NETWORK: { status: 502, message: 'The server could not be reached' },
  LOOKUP: { status: 502, message: 'The look-up failed' },
  UNWELL: { status: 502, message: 'The server is not well' },
  REFUSED: { status: 502, message: 'The server refused the request' },
  BUSY: { status: 503, message: 'Another run is under way' },
  BUSY_UPLOADS: { status: 503, message: 'Too many large uploads at once. Try again in a minute.' },
  BUSY_LOGIN: { status: 503, message: 'Too many log-ins at once. Try again in a few seconds.' }
} as const

/** Stable names of everything that can go wrong. */
export type ErrorCode = keyof typeof TABLE

/** An error with a stable code, an HTTP status and a message that says what to do. */
export class ProductError extends Error {
  readonly code: ErrorCode
  readonly status: number
  /** What the message says beyond its row; undefined when it says no more. */
  readonly detail: string | undefined

  /**
   * @param code row of the error table
   * @param detail appended to the row's message after a colon; must hold no secret
   * @param cause the lower error, for the log only
   */
  constructor(code: ErrorCode, detail?: string, cause?: unknown) {
    const { message, status } = TABLE[code]
    super(detail === undefined ? message : `${message.replace(/\.$/, '')}: ${detail}`, { cause })
    this.name = 'ProductError'
    this.code = code
    this.status = status
    this.detail = detail
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of a Node.js system error (`ENOENT`, …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** The file that this user may not use, if that is what went wrong. */
export function deniedFile(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { code, path } = error as NodeJS.ErrnoException
  return path !== undefined && (code === 'EACCES' || code === 'EPERM') ? path : deniedFile(error.cause)
}

/** As `messageOf`, for people: what the system denies is told without the name of its call. */
export function wordsOf(error: unknown): string {
  const file = deniedFile(error)
  return file === undefined || error instanceof ProductError
    ? messageOf(error)
    : `this user may not use ${file} (${systemCode(error) ?? 'denied'})`
}
