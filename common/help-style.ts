import { Help, type HelpConfiguration } from 'commander'

const WIDTH = 80
const INDENT = 2
/** Columns for flags and words; a longer one has its text below it. */
const TERMS = 24

/** How `--help` is laid out: for 80 columns, whatever the terminal has, and with what must be given marked. */
export const HELP_STYLE: HelpConfiguration = {
  helpWidth: WIDTH,
  padWidth: () => TERMS,
  optionDescription: option =>
    `${new Help().optionDescription(option)}${option.mandatory ? ' (required)' : ''}`,
  formatItem: (term, _width, description, helper) => {
    const start = ' '.repeat(INDENT)
    if (description === '') return start + term
    const left = INDENT + TERMS + INDENT
    const text = helper.boxWrap(description, WIDTH - left).replaceAll('\n', `\n${' '.repeat(left)}`)
    return term.length > TERMS
      ? `${start}${term}\n${' '.repeat(left)}${text}`
      : `${start}${term.padEnd(TERMS)}${' '.repeat(INDENT)}${text}`
  }
}
