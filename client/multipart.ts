import { randomBytes } from 'node:crypto'

/** A form ready to be sent. */
export interface Multipart {
  /** The content type, boundary included. */
  type: string
  /** What the body is put together of, in its order. */
  parts: readonly string[]
}

/** A file in a form. */
export interface FormFile {
  name: string
  /** JSON. */
  text: string
}

/**
 * A form as `multipart/form-data` (RFC 7578). Made here, for what sends forms in libraries costs a cycle as much as all
 * that it does beside: loading one, and the WebAssembly it starts, take 200 ms.
 * @param fields go first: a server may refuse a file whose sender it doesn't know yet
 * @param field the files' own
 */
export function multipart(
  fields: Readonly<Record<string, string>>,
  field: string,
  files: readonly FormFile[]
): Multipart {
  // 128 random bits: no content can hold it but by knowing it.
  const boundary = `fail2ban-report-${randomBytes(16).toString('hex')}`
  const head = (disposition: string) => `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n`
  const parts: string[] = []
  // What is short goes together with what stands before the next file's text.
  let short = ''
  for (const [name, value] of Object.entries(fields))
    short += `${head(`name="${quoted(name)}"`)}\r\n${value}\r\n`
  for (const { name, text } of files) {
    short += head(`name="${quoted(field)}"; filename="${quoted(name)}"`)
    parts.push(`${short}Content-Type: application/json\r\n\r\n`, text)
    short = '\r\n'
  }
  parts.push(`${short}--${boundary}--\r\n`)
  return { type: `multipart/form-data; boundary=${boundary}`, parts }
}

/** A name as browsers put it between quotation marks (HTML, multipart form data). */
function quoted(name: string): string {
  return name.replace(/[\r\n"]/g, encodeURIComponent)
}
