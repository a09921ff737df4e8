/** `qemu-img dd`. */
import { type Command, defineCommand } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { imageSource, INT32_MAX, mistake, optional, sizeValue } from '../values.ts';
import { FORCE_SHARE, formatOption, imageOptsOption } from './common.ts';

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
      value: true,
      argument: 'OUTPUT_FMT',
      help: ['format of OUTPUT (default: raw)'],
    },
    FORCE_SHARE,
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
  input?: string;
  output?: string;
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
    if (name === 'if') result.input = value;
    else if (name === 'of') result.output = value;
    else if (name === 'bs') result.blockSize = sizeValue('bs', value, 1n, INT32_MAX);
    else if (name === 'count') result.count = sizeValue('count', value);
    else if (name === 'skip') result.skip = sizeValue('skip', value);
    else throw mistake(`unrecognized operand ${name}`);
  }
  return result;
}

/** Copies blocks. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args);
  const { input, output, blockSize, count, skip } = readOperands(given.operands);
  if (input === undefined || output === undefined) throw mistake('Must specify both input and output files');
  return session.execute('dd', {
    input: imageSource(session, given, input),
    outputFilename: output,
    outputFormat: given.text('output-format') ?? 'raw',
    blockSize: blockSize ?? 512,
    ...optional('count', count),
    skip: skip ?? 0,
    forceShare: given.has('force-share'),
  });
});
