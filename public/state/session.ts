import { computed, signal } from '@preact/signals'
import { get, post, Refusal } from './api.js'

/** What the server says of who is logged in. */
export interface Session {
  user: string
  role: 'admin' | 'viewer'
  csrf: string
  expires: { idle: string; absolute: string }
}

/** Undefined until it is known, null while nobody is logged in. */
export const session = signal<Session | null | undefined>(undefined)
/** True when a session ended under an open page: what is on the page stays there. */
export const ended = signal(false)
/** True for those who may change something. */
export const mayChange = computed(() => session.value?.role === 'admin')
/** Why it is not known who is logged in. */
export const sessionProblem = signal<Refusal | undefined>(undefined)

/** Asks the server who is logged in. */
export async function askSession(): Promise<void> {
  try {
    session.value = (await get<Session>('session'))?.value ?? null
    sessionProblem.value = undefined
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (error.status === 401) session.value = null
    else sessionProblem.value = error
  }
}

/** @throws Refusal in the server's words */
export async function logIn(username: string, password: string): Promise<void> {
  session.value = await post<Session>('login', { username, password })
  ended.value = false
}

/** @throws Refusal */
export async function logOut(): Promise<void> {
  await post('logout', {}, session.value?.csrf)
  session.value = null
  ended.value = false
}

/** The server takes the session for ended. */
export function sessionIsOver(): void {
  if (session.value == null) return
  session.value = null
  ended.value = true
}
