/** `qemu-img snapshot`. */
import type { SnapshotRequest } from '../../operations/requests.ts';
import { formatSnapshots } from '../../report/snapshot.ts';
import { type Command, defineCommand, type Executor, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { imageSource, oneFile } from '../values.ts';
import { FILE_OPERAND, FORCE_SHARE, formatOption, imageOptsOption, QUIET, UNTRUSTED } from '../sharedOptions.ts';

const syntax: CommandSyntax = {
  name: 'snapshot',
  summary: 'List or manipulate snapshots in the image',
  usage: ['[-f FMT | --image-opts] [-l | -a|-c|-d SNAPSHOT]', '[-U] [-q] [--object OBJDEF] FILE'],
  options: [
    HELP_OPTION,
    formatOption('FILE'),
    imageOptsOption('FILE'),
    { id: 'list', short: 'l', long: 'list', help: ['list the snapshots (done if nothing else is asked for)'] },
    { id: 'apply', short: 'a', long: 'apply', argument: 'SNAPSHOT', help: ['make the disk what it was at SNAPSHOT'] },
    { id: 'create', short: 'c', long: 'create', argument: 'SNAPSHOT', help: ['keep the state of now as SNAPSHOT'] },
    {
      id: 'delete',
      short: 'd',
      long: 'delete',
      argument: 'SNAPSHOT',
      help: ['remove SNAPSHOT (only one of these four at a time)'],
    },
    FORCE_SHARE,
    QUIET,
    UNTRUSTED,
    OBJECT_OPTION,
  ],
  operands: [FILE_OPERAND],
};

type Action = NonNullable<SnapshotRequest['action']>;

/** Lists or changes snapshots. */
const execute: Executor<'snapshot'> = async ({ snapshot }, request, { context, out }) => {
  const result = await snapshot(context, request);
  if (request.action === 'list') out(formatSnapshots(result));
  return 0;
};

/** `snapshot`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  let action: Action | undefined;
  let name: string | undefined;
  const choose = (chosen: Action) => (value: string) => {
    if (action !== undefined) throw new UsageError("Cannot mix '-l', '-a', '-c', '-d'");
    action = chosen;
    if (chosen !== 'list') name = value;
  };
  const given = await session.read(args, {
    list: choose('list'),
    apply: choose('apply'),
    create: choose('create'),
    delete: choose('delete'),
  });
  const filename = oneFile(given);
  const request = {
    image: imageSource(session, given, filename),
    action: action ?? 'list',
    name,
    forceShare: given.has('force-share'),
  };
  return session.execute('snapshot', request, execute, { quiet: given.has('quiet') });
});
