/** The program: options in front of the command, and which command it is. Only the command that runs is loaded. */
import { asBlockError } from '../base/error.ts';
import { ArgumentError, ArgumentReader, type OptionDeclaration } from './argv.ts';
import { type Command, errorLines } from './command.ts';
import type { CommandIo, Requests } from './io.ts';
import { VERSION_TEXT } from './version.ts';

/** Names of all commands. */
type Verb = Exclude<keyof Requests, 'option-help'>;

/** A command before it is loaded. */
interface CommandEntry {
  readonly summary: string;
  readonly load: () => Promise<{ command: Command }>;
}

/** Every command with its one-line description, in the order of the help text. */
const COMMANDS: Readonly<Record<Verb, CommandEntry>> = {
  amend: { summary: 'Update format-specific options of the image', load: () => import('./commands/amend.ts') },
  bench: { summary: 'Run a simple image benchmark', load: () => import('./commands/bench.ts') },
  bitmap: {
    summary: 'Perform modifications of the persistent bitmap in the image',
    load: () => import('./commands/bitmap.ts'),
  },
  check: { summary: 'Check basic image integrity', load: () => import('./commands/check.ts') },
  commit: { summary: 'Commit image to its backing file', load: () => import('./commands/commit.ts') },
  compare: { summary: 'Check if two images have the same contents', load: () => import('./commands/compare.ts') },
  convert: {
    summary: 'Copy one or more images to another with optional format conversion',
    load: () => import('./commands/convert.ts'),
  },
  create: { summary: 'Create and format a new image file', load: () => import('./commands/create.ts') },
  dd: { summary: 'Copy input to output with optional format conversion', load: () => import('./commands/dd.ts') },
  info: { summary: 'Display information about the image', load: () => import('./commands/info.ts') },
  map: { summary: 'Dump image metadata', load: () => import('./commands/map.ts') },
  measure: {
    summary: 'Calculate the file size required for a new image',
    load: () => import('./commands/measure.ts'),
  },
  rebase: { summary: 'Change the backing file of the image', load: () => import('./commands/rebase.ts') },
  resize: { summary: 'Resize the image', load: () => import('./commands/resize.ts') },
  snapshot: { summary: 'List or manipulate snapshots in the image', load: () => import('./commands/snapshot.ts') },
};

const OPTIONS: readonly OptionDeclaration[] = [
  { id: 'help', short: 'h', long: 'help' },
  { id: 'version', short: 'V', long: 'version' },
  { id: 'trace', short: 'T', long: 'trace', value: true },
];

const TRY_HELP = "Try 'qemu-img --help' for more information\n";

/** Columns of the list of formats. */
const WIDTH = 78;

/** The names of all drivers, in lines. */
async function driverLines(): Promise<string> {
  const { drivers } = await import('../drivers.ts');
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

/** The text of `--help`. */
async function helpText(): Promise<string> {
  const commands = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name} - ${summary}\n`);
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

${commands.join('')}
Supported image formats:

${await driverLines()}
`;
}

/** True for the name of a command. */
function isVerb(name: string): name is Verb {
  return Object.hasOwn(COMMANDS, name);
}

async function standardOptions(reader: ArgumentReader, io: CommandIo): Promise<number | undefined> {
  for (let argument = reader.next(); argument !== undefined; argument = reader.next()) {
    if (argument.kind === 'operand') continue;
    if (argument.id === 'help') {
      io.out(await helpText());
      return 0;
    }
    if (argument.id === 'version') {
      io.out(VERSION_TEXT);
      return 0;
    }
    const { selectTrace } = await import('./trace.ts');
    const listed = await selectTrace(argument.value, io, (text, hint) =>
      io.err(`qemu-img: warning: ${text}\n${hint === undefined ? '' : `${hint}\n`}`),
    );
    if (listed) return 0;
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
    if (!isVerb(name)) {
      io.err(`qemu-img: Command not found: ${name}\n${TRY_HELP}`);
      return 1;
    }
    const { command } = await COMMANDS[name].load();
    return await command.run(rest, io);
  } catch (thrown) {
    if (thrown instanceof ArgumentError) io.err(`qemu-img: ${thrown.message}\n${TRY_HELP}`);
    else if (thrown instanceof Error && thrown.name === 'TraceListError') io.err(`qemu-img:${thrown.message}\n`);
    else io.err(errorLines(asBlockError(thrown)));
    return 1;
  }
}
