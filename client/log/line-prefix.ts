import type { EventAction } from '../../common/shapes.js'

/** fail2ban's part that bans, as it is named by fail2ban, by syslog's tag and by the journal's unit. */
const BANS = /^\[?fail2ban(?:\.actions|\.service|-server)?(?:\[\d+\])?\]?:?$/
/** `Increase Ban` is the observer's (seen on 1.0.2), which tells of other things in lines that look like bans. */
const LENGTHENS = /^\[?fail2ban(?:\.actions|\.observer|\.service|-server)?(?:\[\d+\])?\]?:?$/
/** As fail2ban writes it unless told otherwise: nearly every line, spared the closer look. */
const USUAL = /^fail2ban\.actions *\[\d+\]: [A-Z]+ +$/
/** A program's name and pid as syslog and the journal join them; fail2ban's own file keeps them apart. */
const TAG = /^[^[\]]+\[\d+\]:$/
/** With one of these the message has begun before the jail: what follows may be text an attacker chose. */
const MESSAGE_BEGUN =
  /(?:^|\s)(?:--|Ban|Unban|Reban|Found|Ignore|Flush|Increase|Restore|Repeal|banned)(?=[\s,]|$)/

/**
 * True when what stands between a line's date and its jail says that fail2ban itself wrote the line to tell of a
 * ban. A line that names another logger (filter, observer) or another program only looks alike.
 * @param syslog the date is of syslog's kinds, so that host and program follow it
 */
export function isFail2bans(prefix: string, action: EventAction, syslog: boolean): boolean {
  if (!syslog && USUAL.test(prefix)) return true
  if (MESSAGE_BEGUN.test(prefix)) return false
  const ours = action === 'Increase Ban' ? LENGTHENS : BANS
  const words = prefix.split(/\s+/).filter(word => word !== '')
  if (words.some(word => TAG.test(word) && !ours.test(word))) return false
  // The last one: the host before it may be called fail2ban-web.
  const logger = words.findLast(word => /^\[?fail2ban/.test(word))
  if (logger !== undefined && !ours.test(logger)) return false
  return !syslog || words.length === 0 || words.slice(0, 2).some(word => ours.test(word))
}
