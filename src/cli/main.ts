/** The program: options in front of the command, and which command it is. Only the command that runs is loaded. */
import { asBlockError } from '../base/error.ts';
import type { DriverRegistry } from '../block/graph/registry.ts';
import type { Verb } from '../operations/verbs.ts';
import { ArgumentError, ArgumentReader, type OptionDeclaration } from './argv.ts';
import type { Command } from './command.ts';
import { errorLines } from './hints.ts';
import type { CommandIo } from './io.ts';
import { VERSION_TEXT } from './version.ts';

/** Every command, loaded when it is used, in the order of the help text. */
const COMMANDS: Readonly<Record<Verb, () => Promise<{ readonly command: Command }>>> = {
  amend: () => import('./commands/amend.ts'),
  bench: () => import('./commands/bench.ts'),
  bitmap: () => import('./commands/bitmap.ts'),
  check: () => import('./commands/check.ts'),
  commit: () => import('./commands/commit.ts'),
  compare: () => import('./commands/compare.ts'),
  convert: () => import('./commands/convert.ts'),
  create: () => import('./commands/create.ts'),
  dd: () => import('./commands/dd.ts'),
  info: () => import('./commands/info.ts'),
  inspect: () => import('./commands/inspect.ts'),
  map: () => import('./commands/map.ts'),
  measure: () => import('./commands/measure.ts'),
  rebase: () => import('./commands/rebase.ts'),
  resize: () => import('./commands/resize.ts'),
  serve: () => import('./commands/serve.ts'),
  snapshot: () => import('./commands/snapshot.ts'),
};

/** Commands that the real program does not have, and that it does not have under that name either. */
const OWN: readonly string[] = ['inspect', 'serve'] satisfies readonly Verb[];

const OPTIONS: readonly OptionDeclaration[] = [
  { id: 'help', short: 'h', long: 'help' },
  { id: 'version', short: 'V', long: 'version' },
  { id: 'trace', short: 'T', long: 'trace', argument: 'TRACE' },
];

const TRY_HELP = "Try 'qemu-img --help' for more information\n";

/** Columns of the list of formats. */
const WIDTH = 78;

/** The names of all drivers, in lines. */
function driverLines(drivers: DriverRegistry): string {
  const lines: string[] = [];
  let line = ' ';
  for (const name of drivers.names()) {
    if (line.length + 1 + name.length > WIDTH) {
      lines.push(line);
      line = ' ';
    }
    line += ` ${name}`;
  }
  return [...lines, line].join('\n');
}

/** A line for each of the commands: of those of the real program, or of the others. */
async function commandLines(isOwn: boolean): Promise<string> {
  const loads = Object.entries(COMMANDS).filter(([name]) => OWN.includes(name) === isOwn);
  const modules = await Promise.all(loads.map(([, load]) => load()));
  return modules.map(({ command: { syntax } }) => `  ${syntax.name} - ${syntax.summary}\n`).join('');
}

/** The text of `--help`. */
async function helpText(io: CommandIo): Promise<string> {
  const own = io.compatible === true ? '' : `\nCommands beyond the original program:\n\n${await commandLines(true)}`;
  return `${VERSION_TEXT}QEMU disk image utility.  Usage:

  qemu-img [standard options] COMMAND [--help | command options]

Standard options:
  -h, --help
     show this text and exit
  -V, --version
     show the version and exit
  -T,--trace TRACE
     select trace events (accepted for old scripts; there are none):
        [[enable=]<pattern>][,events=<file>][,file=<file>]

Recognized commands (qemu-img COMMAND --help tells more about each):

${await commandLines(false)}${own}
Supported image formats:

${driverLines(await io.drivers())}
`;
}

/** True for the name of a command. */
function isVerb(name: string, { compatible }: CommandIo): name is Verb {
  return Object.hasOwn(COMMANDS, name) && !(compatible === true && OWN.includes(name));
}

async function standardOptions(reader: ArgumentReader, io: CommandIo): Promise<number | undefined> {
  for (let argument = reader.next(); argument !== undefined; argument = reader.next()) {
    if (argument.kind === 'operand') continue;
    if (argument.id === 'help') {
      io.out(await helpText(io));
      return 0;
    }
    if (argument.id === 'version') {
      io.out(io.build === undefined ? VERSION_TEXT : `${VERSION_TEXT}${io.build}\n`);
      return 0;
    }
    const { selectTrace } = await import('./trace.ts');
    const code = await selectTrace(argument.value, io);
    if (code !== undefined) return code;
  }
  return undefined;
}

/**
 * Runs the program.
 * @param args arguments without the program's name.
 * @returns the exit code; nothing is thrown.
 */
export async function main(args: readonly string[], io: CommandIo): Promise<number> {
  try {
    const reader = new ArgumentReader(args, OPTIONS, { stopAtOperand: true });
    const done = await standardOptions(reader, io);
    if (done !== undefined) return done;
    const [name, ...rest] = reader.rest();
    if (name === undefined) {
      io.err(`qemu-img: Not enough arguments\n${TRY_HELP}`);
      return 1;
    }
    if (!isVerb(name, io)) {
      io.err(`qemu-img: Command not found: ${name}\n${TRY_HELP}`);
      return 1;
    }
    const { command } = await COMMANDS[name]();
    return await command.run(rest, io);
  } catch (thrown) {
    if (thrown instanceof ArgumentError) io.err(`qemu-img: ${thrown.message}\n${TRY_HELP}`);
    else io.err(errorLines(asBlockError(thrown)));
    return 1;
  }
}
