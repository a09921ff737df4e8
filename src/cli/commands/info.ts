/** `qemu-img info`. */
import { formatInfo, formatInfoJson } from '../../report/info.ts';
import { type Command, defineCommand, type Executor } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { cacheValue, imageSource, oneFile, outputValue } from '../values.ts';
import {
  cacheOption,
  FILE_OPERAND,
  FORCE_SHARE,
  formatOption,
  imageOptsOption,
  OUTPUT,
  UNTRUSTED,
} from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'info',
  summary: 'Display information about the image',
  usage: ['[-f FMT | --image-opts] [--backing-chain] [-U]', '[--output human|json] [--object OBJDEF] FILE'],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    { id: 'backing-chain', long: 'backing-chain', help: ['go on with the images that FILE is an overlay of'] },
    cacheOption('t', 'FILE'),
    FORCE_SHARE,
    { id: 'limits', long: 'limits', help: ['add the limits of requests (they may depend on the cache mode)'] },
    OUTPUT,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

/** Describes an image. */
const execute: Executor<'info'> = async ({ info }, request, { context, view, out }) => {
  const result = await info(context, request);
  out(view.json ? formatInfoJson(result, request.backingChain ?? false) : formatInfo(result));
  return 0;
};

/** `info`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args, { output: outputValue });
  const filename = oneFile(given);
  const cache = cacheValue(given.text('cache'));
  const request = {
    image: imageSource(session, given, filename),
    backingChain: given.has('backing-chain'),
    limits: given.has('limits'),
    cache,
    forceShare: given.has('force-share'),
  };
  return session.execute('info', request, execute, { json: given.values.output });
});
