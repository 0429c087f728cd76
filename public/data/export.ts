/**
 * Comma-separated values after RFC 4180, with CRLF. A cell that a spreadsheet would run as a formula gets an
 * apostrophe in front (OWASP, CSV injection): addresses and jails come from logs.
 */
export function toCsv(head: readonly string[], rows: Iterable<readonly string[]>): string {
  const lines = [head, ...rows].map(row => row.map(cell).join(','))
  return lines.join('\r\n') + '\r\n'
}

function cell(text: string): string {
  // An IPv6 address may begin with a colon; none of these begins a date, an action or an address.
  const safe = /^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) || safe !== text ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** Hands a file to the browser to be saved. */
export function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

/** Puts text on the clipboard; on plain HTTP browsers offer only the old way. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = document.createElement('textarea')
    area.value = text
    area.className = 'unseen'
    document.body.append(area)
    area.select()
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way without a secure context
    const done = document.execCommand('copy')
    area.remove()
    return done
  }
}
