/** RFC 9110 §13.1.2: a list of tags or `*`, compared weakly (a proxy that compresses makes them weak). */
export function namesTag(header: string | undefined, etag: string): boolean {
  return (header ?? '').split(',').some(text => ['*', etag, `W/${etag}`].includes(text.trim()))
}
