/** Headers that say who this host is, where they are no form's fields (sync-contract.md §2). */
export function basicHeaders(who: {
  username: string
  password: string
  uuid: string
}): Record<'authorization' | 'x-client-uuid', string> {
  const token = Buffer.from(`${who.username}:${who.password}`).toString('base64')
  return { authorization: `Basic ${token}`, 'x-client-uuid': who.uuid }
}
