import { Region } from './region.js'

/**
 * Who is let in by a piece of a rule, with what is not known between bounds: an address in `granted.least` surely is
 * let in, one outside `granted.most` surely is not let in by it. What is neither granted nor denied is left to others.
 */
export interface Verdict {
  granted: Bounds
  denied: Bounds
}
interface Bounds {
  least: Region
  most: Region
}

/** A piece of a rule, judged for those with and those without a right password. */
export type Rule = (withPassword: boolean) => Verdict

const exactly = (region: Region): Bounds => ({ least: region, most: region })
const UNKNOWN: Bounds = { least: Region.none, most: Region.all }

/** Requests from these addresses. */
export const from =
  (region: Region): Rule =>
  () => ({ granted: exactly(region), denied: exactly(region.complement()) })

/** Requests with a right password. @param of every user of the file, or of some of them that can't be told apart here */
export const password =
  (of: 'everyone' | 'some'): Rule =>
  withPassword => {
    if (!withPassword) return from(Region.none)(false)
    return of === 'everyone' ? from(Region.all)(true) : { granted: UNKNOWN, denied: UNKNOWN }
  }

/** What can't be judged here. */
export const unknown: Rule = () => ({ granted: UNKNOWN, denied: UNKNOWN })

/** `<RequireAny>`, and what stands in no section (mod_authz_core's `apply_authz_sections`). */
export const anyOf =
  (rules: readonly Rule[]): Rule =>
  withPassword => {
    const { granted, denied } = joined(rules, withPassword)
    return {
      granted,
      denied: { least: denied.least.minus(granted.most), most: denied.most.minus(granted.least) }
    }
  }

/** `<RequireAll>` */
export const allOf =
  (rules: readonly Rule[]): Rule =>
  withPassword => {
    const { granted, denied } = joined(rules, withPassword)
    return {
      denied,
      granted: { least: granted.least.minus(denied.most), most: granted.most.minus(denied.least) }
    }
  }

/** `Require not …`, and `<RequireNone>` around `anyOf`: it can deny, never grant. */
export const not =
  (rule: Rule): Rule =>
  withPassword => ({ granted: exactly(Region.none), denied: rule(withPassword).granted })

/** The `Order`, `Allow` and `Deny` of Apache 2.2 (mod_access_compat). @param allowFirst `Order Allow,Deny` */
export function ordered(allowFirst: boolean, allow: readonly Rule[], deny: readonly Rule[]): Rule {
  return withPassword => {
    const allowed = joined(allow, withPassword).granted
    const denied = joined(deny, withPassword).granted
    const decide = (allowed: Region, denied: Region) =>
      allowFirst ? allowed.minus(denied) : Region.union([denied.complement(), allowed])
    return decided({ least: decide(allowed.least, denied.most), most: decide(allowed.most, denied.least) })
  }
}

/** What stands at the top of a file: who isn't let in is kept out. */
export const strict =
  (rule: Rule): Rule =>
  withPassword =>
    decided(rule(withPassword).granted)

function decided(granted: Bounds): Verdict {
  return { granted, denied: { least: granted.most.complement(), most: granted.least.complement() } }
}

function joined(rules: readonly Rule[], withPassword: boolean): Verdict {
  const verdicts = rules.map(rule => rule(withPassword))
  const union = (of: 'granted' | 'denied', bound: 'least' | 'most') =>
    Region.union(verdicts.map(verdict => verdict[of][bound]))
  return {
    granted: { least: union('granted', 'least'), most: union('granted', 'most') },
    denied: { least: union('denied', 'least'), most: union('denied', 'most') }
  }
}
