/** The text of `COMMAND --help`, made from the declarations. */
import type { OptionDeclaration } from './argv.ts';

/** An option as its command declares it. */
export interface CommandOption extends OptionDeclaration {
  /** Lines of help; absent for spellings that are kept for old scripts. */
  readonly help?: readonly string[];
  /** For options that the real program does not have: what it does, as the end of a sentence. Takes the place of `help`. */
  readonly own?: string;
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
  /** The program whose command it is, for the usage. Default: `qemu-img`. */
  readonly program?: string;
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
  const lines = [
    'Usage:',
    `  ${syntax.program ?? 'qemu-img'} ${syntax.name} ${first}`,
    ...more.map((line) => `        ${line}`),
    '',
  ];
  lines.push(`${syntax.summary}.`, '', 'Arguments:');
  for (const option of syntax.options) {
    if (option.help === undefined) continue;
    lines.push(spellings(option), ...option.help.map((line) => `     ${line}`));
  }
  for (const operand of syntax.operands) lines.push(`  ${operand.name}`, ...operand.help.map((line) => `     ${line}`));
  const own = syntax.options.filter((option) => option.own !== undefined);
  // As text, not as a list: scripts that look for options in the list find those of the real program.
  if (own.length > 0) lines.push('', 'Beyond the original program:');
  for (const option of own) lines.push(`  with --${option.long} ${option.own}`);
  return `${lines.join('\n')}\n\n`;
}
