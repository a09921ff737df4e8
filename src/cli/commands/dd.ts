/** `qemu-img dd`. */
import { imageName } from '../../operations/shorthand.ts';
import { type Command, defineCommand, type Executor } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { stoppable } from '../stoppable.ts';
import { imageSource, INT32_MAX, mistake, sizeValue } from '../values.ts';
import { FORCE_SHARE, formatOption, imageOptsOption, UNTRUSTED } from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'dd',
  summary: 'Copy input to output with optional format conversion',
  usage: [
    '[-f FMT | --image-opts] [-O OUTPUT_FMT] [-U]',
    '[--object OBJDEF] [bs=BLOCK_SIZE] [count=BLOCKS] [skip=BLOCKS] if=INPUT of=OUTPUT',
  ],
  options: [
    HELP_OPTION,
    formatOption('INPUT'),
    imageOptsOption('INPUT'),
    {
      id: 'output-format',
      short: 'O',
      long: 'output-format',
      argument: 'OUTPUT_FMT',
      help: ['format of OUTPUT (default: raw)'],
    },
    FORCE_SHARE,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [
    { name: 'bs=BLOCK_SIZE[bKMGTP]', help: ['bytes in a block, with a suffix for powers of 1024 (default: 512)'] },
    { name: 'count=BLOCKS', help: ['blocks to copy (default: all)'] },
    { name: 'skip=BLOCKS', help: ['blocks of INPUT to leave out at its start (default: 0)'] },
    { name: 'if=INPUT', help: ['the image to read: a file name, or with --image-opts a description'] },
    { name: 'of=OUTPUT', help: ['the image to create; what was there before is lost'] },
  ],
};

/** The `name=value` operands. */
interface Operands {
  source?: string;
  target?: string;
  blockSize?: number;
  count?: number;
  skip?: number;
}

function readOperands(operands: readonly string[]): Operands {
  const result: Operands = {};
  for (const operand of operands) {
    const equals = operand.indexOf('=');
    const name = equals < 0 ? operand : operand.slice(0, equals);
    const value = equals < 0 ? undefined : operand.slice(equals + 1);
    if (value === undefined) throw mistake(`unrecognized operand ${name}`);
    if (name === 'if') result.source = value;
    else if (name === 'of') result.target = value;
    else if (name === 'bs') result.blockSize = sizeValue('bs', value, 1n, INT32_MAX);
    else if (name === 'count') result.count = sizeValue('count', value);
    else if (name === 'skip') result.skip = sizeValue('skip', value);
    else throw mistake(`unrecognized operand ${name}`);
  }
  return result;
}

/** Copies blocks. */
const execute: Executor<'dd'> = async ({ dd }, request, { context, err }) => {
  const { skippedAll } = await stoppable(context, (inner) => dd(inner, request));
  if (skippedAll) err(`qemu-img: ${imageName(request.source)}: cannot skip to specified offset\n`);
  return 0;
};

/** `dd`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args, {});
  const { source, target, ...blocks } = readOperands(given.operands);
  if (source === undefined || target === undefined) throw mistake('Must specify both input and output files');
  const request = {
    source: imageSource(session, given, source),
    target: { filename: target, format: given.text('output-format') },
    ...blocks,
    forceShare: given.has('force-share'),
  };
  return session.execute('dd', request, execute);
});
