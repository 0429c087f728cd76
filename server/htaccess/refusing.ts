import type { Directive } from './parse.js'

/** What Apache's documentation tells to change replies, listings and variables, and never to refuse a request. */
const HARMLESS = new Set(
  (
    'options directoryindex directoryslash directoryindexredirect errordocument serversignature fileetag ' +
    'indexoptions indexignore indexignorereset indexorderdefault indexstylesheet indexheadinsert ' +
    'addalt addaltbyencoding addaltbytype adddescription addicon addiconbyencoding addiconbytype ' +
    'addtype addcharset adddefaultcharset addencoding addlanguage addoutputfilter addoutputfilterbytype ' +
    'removetype removecharset removeencoding removelanguage removehandler removeoutputfilter ' +
    'forcetype forcelanguagepriority languagepriority defaulttype defaulticon defaultlanguage setoutputfilter ' +
    'header requestheader expiresactive expiresbytype expiresdefault cachedisable contentdigest ' +
    'enablemmap enablesendfile limitrequestbody ' +
    // What reads variables is judged by itself, and so is the rule that a RewriteCond belongs to.
    'setenv unsetenv passenv setenvif setenvifnocase browsermatch browsermatchnocase ' +
    'rewriteengine rewritebase rewritecond'
  ).split(' ')
)
const PLAIN_HANDLER =
  /^(none|default-handler|cgi-script|server-parsed|send-as-is|type-map|php[\w.-]*|application\/x-httpd-[\w-]+)$/i
/** Flags that leave the request what it is. */
const PLAIN_FLAG = /^(e=.*|env=.*|l|last|end|nc|nocase|ns|nosubreq|ne|noescape|qsa|qsappend)$/i

const DATA_ENDING =
  'json|jsonl|config|conf|cfg|ini|env|md|log|lock|bak|old|orig|save|swp|sql|sqlite|db|csv|yml|yaml|ya\\?ml|toml|htaccess|htpasswd'
const DATA_GLOB = new RegExp(
  `^(\\.[\\w-][\\w.*?-]*|[\\w.*?-]*\\.(${DATA_ENDING.replace('|ya\\?ml', '')}))$`,
  'i'
)
const HIDDEN_NAME = /^\^\\\.(?![?*{])(?:[\w.*+?-]|\\[.-])*(?:\((?:\?:)?(?:[\w.*|-]|\\[.-])*\))?\$?$/
const DATA_NAME = new RegExp(
  `^\\^?(?:[\\w.*+-]|\\\\[.-])*\\\\\\.(?:${DATA_ENDING}|\\((?:\\?:)?(?:${DATA_ENDING})(?:\\|(?:${DATA_ENDING}))*\\))\\$$`,
  'i'
)

/**
 * Why a directive that is no rule of access may let fewer in all the same; undefined where it surely does not.
 * What is not known here may.
 */
export function whyRefusing({ name, args }: Directive): string | undefined {
  if (HARMLESS.has(name)) return undefined
  switch (name) {
    case 'rewriterule':
      return onlySetsVariables(args) ? undefined : 'it may refuse requests, or lead them elsewhere'
    case 'redirect':
    case 'redirectmatch':
    case 'redirectpermanent':
    case 'redirecttemp':
      return 'it may refuse requests, or lead them elsewhere'
    case 'sethandler':
    case 'addhandler':
      if (PLAIN_HANDLER.test(args[0] ?? '')) return undefined
      break
    case 'php_value':
    case 'php_flag':
      // A script that runs before each page is where PHP sites put a log-in.
      if (args[0]?.toLowerCase() !== 'auto_prepend_file' || args[1]?.toLowerCase() === 'none')
        return undefined
      break
  }
  return 'whether it keeps anybody out is not known here'
}

/** True for a <Files> or <FilesMatch> that keeps everybody from files that are no pages, and does nothing else. */
export function onlyDeniesData({ name, args, inside }: Directive): boolean {
  const expression = name === '<filesmatch>' || args[0] === '~'
  const [pattern = '', ...more] = args[0] === '~' ? args.slice(1) : args
  if (more.length > 0) return false
  return (expression ? matchesData(pattern) : DATA_GLOB.test(pattern)) && inside.every(onlyDenies)
}

function onlySetsVariables([, to, flags, ...more]: readonly string[]): boolean {
  if (to !== '-' || more.length > 0) return false
  if (flags === undefined) return true
  return flags.startsWith('[') && flags.endsWith(']')
    ? flags
        .slice(1, -1)
        .split(',')
        .every(flag => PLAIN_FLAG.test(flag.trim()))
    : false
}

/** Few forms are known; `\.json` without its `$` is none of them, as `x.json.php` matches too. */
function matchesData(pattern: string): boolean {
  const plain = pattern.replace(/^\(\?i\)/, '')
  const [, begin = '', group, end = ''] = /^(\^?)\((?:\?:)?([^()]*)\)(\$?)$/.exec(plain) ?? []
  const choices =
    group !== undefined
      ? group.split('|').map(choice => `${begin}${choice}${end}`)
      : plain.includes('(')
        ? [plain]
        : plain.split('|')
  return choices.every(choice => HIDDEN_NAME.test(choice) || DATA_NAME.test(choice))
}

function onlyDenies(one: Directive): boolean {
  const words = one.args.join(' ').toLowerCase()
  switch (one.name) {
    case 'require':
      return words === 'all denied'
    case 'deny':
      return words === 'from all'
    case 'satisfy':
      return words === 'all'
    case 'order':
      return true
    case '<ifmodule>':
      return one.inside.every(onlyDenies)
  }
  return HARMLESS.has(one.name)
}
