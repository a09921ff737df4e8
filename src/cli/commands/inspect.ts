/** `qimg inspect`: not a command of the real program. */
import { formatInspect, formatInspectJson, inspectExitCode } from '../../report/inspect.ts';
import { type Command, defineCommand, type Executor } from '../command.ts';
import { type CommandSyntax, HELP_OPTION } from '../help.ts';
import { oneFile, outputValue } from '../values.ts';
import { FORCE_SHARE, OUTPUT } from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'inspect',
  summary: 'Find out whether an image of somebody else is safe to use',
  usage: ['[-f FMT] [-U] [--output human|json] FILE'],
  options: [
    HELP_OPTION,
    {
      id: 'format',
      short: 'f',
      long: 'format',
      argument: 'FMT',
      help: ['format that FILE should have; it is found by the content in any case'],
    },
    FORCE_SHARE,
    OUTPUT,
  ],
  operands: [
    {
      name: 'FILE',
      help: [
        'the image; nothing that it names is opened',
        '',
        'Exit code: 0 safe, 2 not safe, 1 it could not be told. docs/SECURITY.md has the rules.',
      ],
    },
  ],
};

/** Looks at an image. */
const execute: Executor<'inspect'> = async ({ inspect }, request, { context, view, out }) => {
  const result = await inspect(context, request);
  out(view.json ? formatInspectJson(result) : formatInspect(result));
  return inspectExitCode(result);
};

/** `inspect`: exit codes 0, 1 and 2. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const given = await session.read(args, { output: outputValue });
  const request = {
    image: { filename: oneFile(given), format: given.text('format') },
    forceShare: given.has('force-share'),
  };
  return session.execute('inspect', request, execute, { json: given.values.output });
});
