import { LOOPBACK } from '../../common/address.js'
import { apacheNetwork } from './networks.js'
import type { Directive } from './parse.js'
import { onlyDeniesData, whyRefusing } from './refusing.js'
import { Region } from './region.js'
import {
  allOf,
  anyOf,
  from,
  not,
  ordered,
  password,
  strict,
  unknown,
  type Rule,
  type Verdict
} from './rule.js'

/** Something of the file that no setting says. */
export interface Untranslated {
  line: number
  text: string
  why: string
}

/** Whom an .htaccess lets in. */
export interface Meaning {
  /** Surely let in without a password, and with a right one of the password file. */
  without: Region
  with: Region
  /** The password file; empty when none is asked for. */
  userFile: string
  untranslated: Untranslated[]
  /** True when what was not understood may make the rule another one altogether. */
  unsure: boolean
  /** True when a piece of the rule could not be judged, and is taken not to let in. */
  unknown: boolean
  notes: string[]
}

/** Directives that let in, keep out, or say how. */
const ACCESS = new Set(
  (
    'require order allow deny satisfy authtype authname authuserfile authgroupfile authbasicprovider authmerging ' +
    'authbasicauthoritative <requireany> <requireall> <requirenone>'
  ).split(' ')
)
/** Sections whose directives are directives like others. */
const SECTIONS = new Set(
  '<files> <filesmatch> <if> <elseif> <else> <ifdefine> <ifmodule> <ifversion> <iffile> <limit> <limitexcept>'.split(
    ' '
  )
)
/** Every Apache 2.4 that can read such a file has them. */
const PRESENT = new Set(
  ['authz_core', 'authz_host', 'authz_user', 'auth_basic', 'authn_core', 'authn_file'].flatMap(name => [
    `mod_${name}.c`,
    `${name}_module`
  ])
)

/**
 * Works out whom a file lets in: never more than Apache would.
 * @param usersOf the users of a password file, or undefined where it can't be read
 */
export function meaningOf(
  directives: readonly Directive[],
  usersOf: (path: string) => readonly string[] | undefined
): Meaning {
  const reading = new Reading(usersOf)
  const root: Rule[] = []
  reading.read(directives, root)
  return reading.meaning(root)
}

class Reading {
  #userFile = ''
  readonly #named: { of: Directive; names: readonly string[]; everyone: boolean }[] = []
  readonly #untranslated: Untranslated[] = []
  readonly #notes: string[] = []
  #unsure = false
  #authType = ''
  #asksPassword = false
  #satisfy: { any: boolean; of: Directive } | undefined
  #allowFirst = false
  #ordered = false
  readonly #allow: Rule[] = []
  readonly #deny: Rule[] = []

  constructor(private readonly usersOf: (path: string) => readonly string[] | undefined) {}

  read(directives: readonly Directive[], into: Rule[]): void {
    for (const one of directives) {
      if (one.name.startsWith('<')) this.#section(one, into)
      else if (one.name === 'require') into.push(this.#require(one))
      else if (ACCESS.has(one.name)) this.#access(one)
      else {
        const why = whyRefusing(one)
        if (why !== undefined) this.#doubt(one, why)
      }
    }
  }

  meaning(root: readonly Rule[]): Meaning {
    this.#judgeNamed()
    const rule = this.#whole(root)
    const [without, withPassword] = [false, true].map(given => rule(given).granted.least) as [Region, Region]
    const needed = !without.equals(withPassword)
    if (this.#asksPassword) this.#checkPassword(needed)
    return {
      without,
      with: withPassword,
      userFile: needed ? this.#userFile : '',
      untranslated: this.#untranslated,
      unsure: this.#unsure,
      unknown: ![false, true].every(given => exact(rule(given))),
      notes: this.#notes
    }
  }

  #section(one: Directive, into: Rule[]): void {
    const inside: Rule[] = []
    switch (one.name) {
      case '<requireany>':
        this.read(one.inside, inside)
        into.push(anyOf(inside))
        return
      case '<requireall>':
        this.read(one.inside, inside)
        into.push(allOf(inside))
        return
      case '<requirenone>':
        this.read(one.inside, inside)
        into.push(not(anyOf(inside)))
        return
      case '<ifmodule>': {
        const name = one.args[0] ?? ''
        if (PRESENT.has(name)) return this.read(one.inside, into)
        if (name.startsWith('!') && PRESENT.has(name.slice(1))) return
        break
      }
    }
    if (SECTIONS.has(one.name) && !hasAccess(one.inside)) return this.read(one.inside, into)
    if ((one.name === '<files>' || one.name === '<filesmatch>') && onlyDeniesData(one)) {
      this.#leave(one, 'rules for some files only; this server hands out no file of its data folders')
    } else this.#doubt(one, 'whether, or for what, it counts is not known here')
  }

  #access(one: Directive): void {
    const [first = ''] = one.args
    const word = first.toLowerCase()
    switch (one.name) {
      case 'authtype':
        this.#authType = word
        if (word !== 'basic') this.#doubt(one, 'only Basic is possible here')
        return
      case 'authuserfile':
        this.#userFile = first
        return
      case 'authbasicprovider':
        if (one.args.some(arg => arg.toLowerCase() !== 'file'))
          this.#doubt(one, 'only a password file is possible here')
        return
      case 'authmerging':
        if (word !== 'off') this.#doubt(one, 'what the folders above say is not known here')
        return
      case 'authbasicauthoritative':
        if (word !== 'on') this.#doubt(one, 'other modules may let somebody in')
        return
      case 'satisfy':
        if (word !== 'any' && word !== 'all') return this.#doubt(one, 'Any or All is meant')
        this.#satisfy = { any: word === 'any', of: one }
        return
      case 'order':
        return this.#order(one)
      case 'allow':
        this.#allow.push(...this.#hosts(one))
        return
      case 'deny':
        this.#deny.push(...this.#hosts(one))
    }
  }

  #order(one: Directive): void {
    const order = one.args.join(',').toLowerCase().replaceAll(/,+/g, ',')
    if (!['deny,allow', 'allow,deny', 'mutual-failure'].includes(order)) {
      return this.#doubt(one, 'Deny,Allow or Allow,Deny is meant')
    }
    this.#ordered = true
    this.#allowFirst = order !== 'deny,allow'
  }

  #hosts(one: Directive): Rule[] {
    this.#ordered = true
    if (one.args[0]?.toLowerCase() !== 'from' || one.args.length < 2) {
      this.#leave(one, 'a from is missing')
      return [unknown]
    }
    return one.args.slice(1).map(arg => {
      if (arg.toLowerCase() === 'all') return from(Region.all)
      const network = apacheNetwork(arg)
      if (network !== undefined) return from(Region.of([network]))
      this.#leave(one, `${arg}: neither address nor network; names and variables are not looked up here`)
      return unknown
    })
  }

  #require(one: Directive): Rule {
    const negated = one.args[0]?.toLowerCase() === 'not'
    const [kind = '', ...rest] = negated ? one.args.slice(1) : one.args
    const rule = this.#atom(one, kind.toLowerCase(), rest)
    return negated ? not(rule) : rule
  }

  #atom(one: Directive, kind: string, rest: readonly string[]): Rule {
    switch (kind) {
      case 'all': {
        const word = rest[0]?.toLowerCase()
        if (word === 'granted' || word === 'denied')
          return from(word === 'granted' ? Region.all : Region.none)
        break
      }
      case 'ip': {
        const networks = rest.flatMap(arg => apacheNetwork(arg) ?? [])
        if (rest.length > 0 && networks.length === rest.length) return from(Region.of(networks))
        this.#leave(one, 'not all of it is an address or a network')
        return unknown
      }
      case 'local':
        this.#notes.push(
          `line ${one.line}: ${one.text} is loopback here; the server's own other addresses are not`
        )
        return from(Region.of(LOOPBACK))
      case 'valid-user':
        this.#asksPassword = true
        return password('everyone')
      case 'user':
        this.#asksPassword = true
        return this.#someUsers(one, rest)
    }
    this.#leave(one, 'only addresses, valid-user and all are possible here')
    return unknown
  }

  #someUsers(of: Directive, names: readonly string[]): Rule {
    // The path may stand further down.
    const named = { of, names, everyone: false }
    this.#named.push(named)
    return withPassword => password(named.everyone ? 'everyone' : 'some')(withPassword)
  }

  /** Some users are everyone where the file has no others. */
  #judgeNamed(): void {
    const users = this.#userFile === '' ? undefined : this.usersOf(this.#userFile)
    for (const one of this.#named) {
      one.everyone = users?.every(user => one.names.includes(user)) === true
      if (!one.everyone)
        this.#leave(one.of, 'the password file lets all its users in: make one that has only these')
    }
  }

  #whole(root: readonly Rule[]): Rule {
    const required = anyOf(root)
    const satisfy = this.#satisfy
    if (!this.#ordered) {
      if (satisfy?.any === true) this.#doubt(satisfy.of, 'without Order, Allow and Deny it lets everybody in')
      return root.length === 0 ? from(Region.all) : required
    }
    const hosts = ordered(this.#allowFirst, this.#allow, this.#deny)
    if (root.length === 0) return hosts
    return (satisfy?.any === true ? anyOf : allOf)([hosts, strict(required)])
  }

  #checkPassword(needed: boolean): void {
    if (!needed) return
    const doubt = (text: string, why: string) => {
      this.#unsure = true
      this.#untranslated.push({ line: 0, text, why })
    }
    if (this.#authType === '') doubt('AuthType', 'the file does not say it; does the server’s configuration?')
    if (this.#userFile === '')
      doubt('AuthUserFile', 'the file does not say it; does the server’s configuration?')
    else if (!this.#userFile.startsWith('/'))
      doubt('AuthUserFile', 'its path begins at Apache’s ServerRoot, which is not known here')
  }

  #leave({ line, text }: Directive, why: string): void {
    this.#untranslated.push({ line, text, why })
  }

  #doubt(one: Directive, why: string): void {
    this.#unsure = true
    this.#leave(one, why)
  }
}

function exact({ granted }: Verdict): boolean {
  return granted.least.equals(granted.most)
}

function hasAccess(directives: readonly Directive[]): boolean {
  return directives.some(one => ACCESS.has(one.name) || hasAccess(one.inside))
}
