import type { FastifyInstance, FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'

/** Looks at a request ahead of its route. @returns false when it has been answered and goes no further */
type Look = (request: FastifyRequest, reply: FastifyReply) => boolean
/** Runs after a reply has been sent. */
type End = (request: FastifyRequest, reply: FastifyReply) => void
type At = 'onRequest' | 'onResponse'
/** Hooks that no request runs. */
const OF_THE_APP = ['onRoute', 'onRegister', 'onReady', 'onListen', 'preClose', 'onClose']
type PluginHook = (
  request: FastifyRequest,
  reply: FastifyReply,
  done: HookHandlerDoneFunction
) => Promise<void> | undefined

/** A plugin's hook, and which requests are its. */
interface Rare {
  concerns: (request: FastifyRequest) => boolean
  hook: PluginHook
}

/**
 * What an app does at every request, in the order it was given, as one hook at each end: Fastify's way from one hook to
 * the next takes longer than most of what they do, and a poll is small.
 */
export class RequestHooks {
  readonly #looks: Look[] = []
  readonly #ends: End[] = []
  readonly #rare: Readonly<Record<At, Rare[]>> = { onRequest: [], onResponse: [] }

  /** @param app its routes are to be added later */
  constructor(private readonly app: FastifyInstance) {
    app.addHook('onRequest', (request, reply, done) => {
      for (const look of this.#looks) if (!look(request, reply)) return
      this.#runRare('onRequest', request, reply, done)
    })
    app.addHook('onResponse', (request, reply, done) => {
      for (const end of this.#ends) end(request, reply)
      this.#runRare('onResponse', request, reply, done)
    })
  }

  /** Has every request looked at, behind those given before and ahead of plugins' hooks. */
  look(look: Look): void {
    this.#looks.push(look)
  }

  /** Has something done after every reply. */
  end(end: End): void {
    this.#ends.push(end)
  }

  /**
   * The app as a plugin gets it that concerns few requests: its `onRequest` and `onResponse` run at these alone, and values
   * it keeps with a request take no room in the others. To be called as a function: `register` would make an app of its own.
   * @throws Error by `addHook` for any other hook of requests
   */
  appFor(concerns: Rare['concerns']): FastifyInstance {
    const { app } = this
    const rare = this.#rare
    return Object.create(app, {
      addHook: {
        value: (name: string, hook: PluginHook) => {
          if (name === 'onRequest' || name === 'onResponse') rare[name].push({ concerns, hook })
          else if (OF_THE_APP.includes(name)) app.addHook(name as 'onRequest', hook)
          else throw new Error(`a hook ${name} would run at every request`)
        }
      },
      decorate: { value: app.decorate.bind(app) },
      decorateRequest: {
        value: (name: string, value: unknown, dependencies?: string[]) =>
          app.decorateRequest(name, typeof value === 'function' ? value : keptApart(value), dependencies)
      }
    }) as FastifyInstance
  }

  #runRare(at: At, request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void {
    const mine = this.#rare[at].filter(({ concerns }) => concerns(request))
    if (mine.length === 0) done()
    else runHooks(mine, request, reply).then(() => done(), done)
  }
}

async function runHooks(rare: readonly Rare[], request: FastifyRequest, reply: FastifyReply): Promise<void> {
  for (const { hook } of rare) {
    await (hook.length < 3
      ? hook(request, reply, () => undefined)
      : new Promise<void>((resolve, reject) => {
          void hook(request, reply, error => (error == null ? resolve() : reject(error)))
        }))
  }
}

/** A value of requests that few of them change. */
function keptApart(initial: unknown): { getter: () => unknown; setter: (value: unknown) => void } {
  const held = new WeakMap<object, unknown>()
  return {
    getter(this: object) {
      return held.has(this) ? held.get(this) : initial
    },
    setter(this: object, value: unknown) {
      held.set(this, value)
    }
  }
}
