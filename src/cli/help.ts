/** The text of `COMMAND --help`, made from the declarations. */
import type { OptionDeclaration } from './argv.ts';

/** An option as its command declares it. */
export interface CommandOption extends OptionDeclaration {
  /** Name of the value. */
  readonly argument?: string;
  /** Lines of help; absent for spellings that are kept for old scripts. */
  readonly help?: readonly string[];
  /** Further text behind the spellings. */
  readonly note?: string;
}

/** An operand. */
interface OperandHelp {
  readonly name: string;
  readonly help: readonly string[];
}

/** Everything about a command line that is data. */
export interface CommandSyntax {
  readonly name: string;
  readonly summary: string;
  /** Usage lines without `qemu-img NAME`. */
  readonly usage: readonly string[];
  readonly options: readonly CommandOption[];
  readonly operands: readonly OperandHelp[];
}

/** Present in every command. */
export const HELP_OPTION: CommandOption = { id: 'help', short: 'h', long: 'help', help: ['show this text and exit'] };

/** Present in every command. */
export const OBJECT_OPTION: CommandOption = {
  id: 'object',
  long: 'object',
  value: true,
  argument: 'OBJDEF',
  help: ['create an object, for instance a secret that holds a passphrase'],
};

function spellings(option: CommandOption): string {
  const short = option.short === undefined ? [] : [`-${option.short}`];
  const long = option.long === undefined ? [] : [`--${option.long}`];
  const names = [...short, ...long].join(', ');
  const argument = option.argument === undefined ? '' : ` ${option.argument}`;
  return `  ${names}${argument}${option.note === undefined ? '' : ` ${option.note}`}`;
}

/** The whole help text of a command, with its final newlines. */
export function commandHelp(syntax: CommandSyntax): string {
  const [first = '', ...more] = syntax.usage;
  const lines = ['Usage:', `  qemu-img ${syntax.name} ${first}`, ...more.map((line) => `        ${line}`), ''];
  lines.push(`${syntax.summary}.`, '', 'Arguments:');
  for (const option of syntax.options) {
    if (option.help === undefined) continue;
    lines.push(spellings(option), ...option.help.map((line) => `     ${line}`));
  }
  for (const operand of syntax.operands) lines.push(`  ${operand.name}`, ...operand.help.map((line) => `     ${line}`));
  return `${lines.join('\n')}\n\n`;
}
