import { get, post, Refusal, type Changed, type Entries, type Overview, type Session } from './api.js'
import { byId, make } from './elements.js'
import { drawEntries } from './entries.js'
import { drawServers, type Chosen } from './overview.js'

/** All that the page knows; `draw` shows it. */
const state: { session?: Session; overview?: Overview; chosen?: Chosen; list?: Entries } = {}

const filter = byId('filter', HTMLInputElement)
const loginForm = byId('login-form', HTMLFormElement)
const blockForm = byId('block-form', HTMLFormElement)

function draw(): void {
  const { session, overview, list } = state
  byId('login', HTMLElement).hidden = session !== undefined
  byId('account', HTMLElement).hidden = session === undefined
  byId('servers', HTMLElement).hidden = overview === undefined
  byId('block', HTMLElement).hidden = overview === undefined || session?.role !== 'admin'
  byId('list', HTMLElement).hidden = list === undefined
  byId('who', HTMLElement).textContent = session === undefined ? '' : `${session.user} (${session.role})`
  if (overview !== undefined) {
    drawServers(overview, state.chosen, choose)
    drawChoices(overview)
  }
  if (list !== undefined) drawEntries(list, filter.value, session?.role === 'admin' ? unblock : undefined)
}

function drawChoices(overview: Overview): void {
  const select = blockForm.elements.namedItem('server') as HTMLSelectElement
  const kept = select.value
  select.replaceChildren(...overview.servers.map(server => make('option', {}, server.name)))
  if (overview.servers.some(server => server.name === kept)) select.value = kept
  const jails = new Set(overview.servers.flatMap(server => server.lists.map(list => list.jail)))
  const options = [...jails].sort().map(jail => Object.assign(make('option'), { value: jail }))
  byId('jails', HTMLElement).replaceChildren(...options)
}

function tell(message: string, bad = false): void {
  const notice = byId('notice', HTMLElement)
  notice.textContent = message
  notice.hidden = message === ''
  notice.classList.toggle('bad', bad)
}

/** Runs what a click asks for, one at a time, and tells what went wrong. */
function run(work: () => Promise<void>): void {
  const buttons = document.querySelectorAll('button')
  for (const one of buttons) one.disabled = true
  work()
    .catch((error: unknown) => {
      if (!(error instanceof Refusal)) throw error
      if (error.status === 401 && state.session !== undefined) forget()
      tell([error.message, ...error.results.map(one => `${one.ip}: ${one.message}`)].join('\n'), true)
    })
    .finally(() => {
      for (const one of document.querySelectorAll('button')) one.disabled = false
    })
}

function forget(): void {
  for (const key of ['session', 'overview', 'chosen', 'list'] as const) Reflect.deleteProperty(state, key)
  draw()
}

async function load(): Promise<void> {
  state.overview = await get<Overview>('servers')
  const { chosen } = state
  if (chosen !== undefined) state.list = await get<Entries>('blocklists', { ...chosen })
  draw()
}

function choose(list: Chosen): void {
  run(async () => {
    tell('')
    state.list = await get<Entries>('blocklists', { ...list })
    state.chosen = list
    filter.value = ''
    draw()
    byId('list', HTMLElement).scrollIntoView({ block: 'nearest' })
  })
}

async function change(what: 'block' | 'unblock', body: object): Promise<void> {
  try {
    const changed = await post<Changed>(what, body, state.session?.csrf)
    const untold = changed.results.filter(one => one.outcome === 'refused' || one.outcome === 'failed')
    const single = changed.results.length === 1
    const details = single ? [] : untold.map(one => `${one.ip}: ${one.message}`)
    tell([changed.message, ...details].join('\n'), untold.length > 0)
  } finally {
    if (state.session !== undefined) await load()
  }
}

function unblock(ip: string): void {
  const { chosen } = state
  if (chosen === undefined) return
  run(() => change('unblock', { servers: [chosen.server], jails: [chosen.jail], ips: [ip] }))
}

loginForm.addEventListener('submit', event => {
  event.preventDefault()
  run(async () => {
    tell('')
    const { username, password } = Object.fromEntries(new FormData(loginForm))
    state.session = await post<Session>('login', { username, password })
    loginForm.reset()
    await load()
  })
})

blockForm.addEventListener('submit', event => {
  event.preventDefault()
  const field = (name: string) => (blockForm.elements.namedItem(name) as HTMLInputElement).value.trim()
  const expires = field('expires')
  const wish = {
    servers: [field('server')],
    jails: [field('jail')],
    ips: field('ips').split(/[\s,;]+/),
    reason: field('reason'),
    expires: expires === '' ? null : new Date(expires).toISOString()
  }
  run(async () => {
    await change('block', wish)
    blockForm.reset()
  })
})

byId('logout', HTMLElement).addEventListener('click', () =>
  run(async () => {
    await post('logout', {}, state.session?.csrf)
    forget()
    tell('You are logged out.')
  })
)
byId('refresh', HTMLElement).addEventListener('click', () =>
  run(async () => {
    tell('')
    await load()
  })
)
filter.addEventListener('input', draw)

run(async () => {
  const session = await get<Session>('session').catch((error: unknown) => {
    if (error instanceof Refusal && error.status === 401) return undefined
    throw error
  })
  if (session !== undefined) {
    state.session = session
    await load()
  } else draw()
})
