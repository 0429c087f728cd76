/** Settings of an app that nothing stands in front of: no password, no addresses, plain HTTP on loopback. */
export const NOTHING_IN_FRONT = {
  htpasswd: '',
  allowDashboard: undefined,
  allowEndpoints: undefined,
  satisfy: 'all',
  tlsCert: '',
  tlsKey: '',
  plainHttp: false
} as const
