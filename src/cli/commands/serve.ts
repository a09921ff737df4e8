/** `qimg serve`, which the real tool does not have: it has qemu-nbd. */
import { writeFileSync, rmSync } from 'node:fs';
import { isatty } from 'node:tty';
import { BlockError } from '../../base/error.ts';
import type { SocketAddress } from '../../block/net.ts';
import type { Client } from '../../block/serving.ts';
import { hostName } from '../../host/node/fileNames.ts';
import type { ExportRequest, ServeRequest } from '../../operations/requests.ts';
import { type Command, defineCommand, type Executor, type Given, type Session, UsageError } from '../command.ts';
import { type CommandSyntax, HELP_OPTION, OBJECT_OPTION } from '../help.ts';
import { FORCE_SHARE, formatOption, imageOptsOption } from '../sharedOptions.ts';
import { stoppable } from '../stoppable.ts';
import { cacheValue, countValue, imageSource, INT32_MAX, mistake, snapshotValue } from '../values.ts';

const syntax: CommandSyntax = {
  name: 'serve',
  program: 'qimg',
  summary: 'Give images to others, as exports of an NBD server',
  usage: [
    '[-f FMT | --image-opts] [-w | -s | -l SNAPSHOT] [-b ADDRESS] [-p PORT]',
    '[-k SOCKET] [--tls-creds ID] [-x NAME] [-D TEXT] [-B BITMAP | --all-bitmaps]',
    '[-A] [-e NUM] [-t] [--handshake-limit SECONDS] [--cache CACHE]',
    '[--discard ignore|unmap] [--pid-file PATH] [--print-uri] [-v] [-U]',
    '[--object OBJDEF] FILE...',
  ],
  options: [
    HELP_OPTION,
    formatOption('every FILE'),
    imageOptsOption('every FILE'),
    { id: 'writable', short: 'w', long: 'writable', help: ['let clients write'] },
    { id: 'read-only', short: 'r', long: 'read-only', help: ['let them read only, as they may anyway'] },
    {
      id: 'snapshot',
      short: 's',
      long: 'snapshot',
      help: ['let clients write into a temporary file, which is gone', 'with the server; FILE stays as it is'],
    },
    {
      id: 'load-snapshot',
      short: 'l',
      long: 'load-snapshot',
      argument: 'SNAPSHOT',
      help: ['serve this internal snapshot of FILE, for reading'],
    },
    {
      id: 'bind',
      short: 'b',
      long: 'bind',
      argument: 'ADDRESS',
      help: ['address to listen at (default: 127.0.0.1, for programs on this', 'machine; 0.0.0.0 or :: for everybody)'],
    },
    {
      id: 'port',
      short: 'p',
      long: 'port',
      argument: 'PORT',
      help: ['port to listen at (default: 10809); 0: any that is free, which is printed'],
    },
    {
      id: 'socket',
      short: 'k',
      long: 'socket',
      argument: 'PATH',
      help: ['listen at this Unix socket instead, which only its owner can use'],
    },
    { id: 'tls-creds', long: 'tls-creds', argument: 'ID', help: ['let clients in with TLS only, by this --object'] },
    {
      id: 'export-name',
      short: 'x',
      long: 'export-name',
      argument: 'NAME',
      help: [
        'name of the export, once for each FILE (default: none for one FILE,',
        'the names of the files for several)',
      ],
    },
    {
      id: 'description',
      short: 'D',
      long: 'description',
      argument: 'TEXT',
      help: ['what the export is, for people, once for each FILE'],
    },
    {
      id: 'bitmap',
      short: 'B',
      long: 'bitmap',
      argument: 'NAME',
      help: ['tell which blocks are dirty in this bitmap of every FILE', '(several times for several)'],
    },
    { id: 'all-bitmaps', long: 'all-bitmaps', help: ['the same for all bitmaps that can be used'] },
    {
      id: 'allocation-depth',
      short: 'A',
      long: 'allocation-depth',
      help: ['tell which image of the chain has what'],
    },
    {
      id: 'shared',
      short: 'e',
      long: 'shared',
      argument: 'NUM',
      help: ['serve so many clients at a time, others wait (default: 256; 0: any', 'number)'],
    },
    { id: 'persistent', short: 't', long: 'persistent', help: ['go on when the last client has gone'] },
    {
      id: 'handshake-limit',
      long: 'handshake-limit',
      argument: 'SECONDS',
      help: ['time that clients have to choose an export (default: 10; 0: any time)'],
    },
    { id: 'cache', long: 'cache', argument: 'CACHE', help: ['cache mode for every FILE (default: writeback)'] },
    { id: 'nocache', short: 'n', long: 'nocache', help: ['the same as --cache none'] },
    {
      id: 'discard',
      long: 'discard',
      argument: 'MODE',
      help: ['unmap: what clients discard is given back to the file system (default);', 'ignore: it is not'],
    },
    { id: 'pid-file', long: 'pid-file', argument: 'PATH', help: ['write the number of the process there'] },
    {
      id: 'print-uri',
      long: 'print-uri',
      help: ['print where the exports are, as soon as clients can come (as is', 'done on terminals)'],
    },
    { id: 'verbose', short: 'v', long: 'verbose', help: ['tell of clients who come and go'] },
    FORCE_SHARE,
    OBJECT_OPTION,
  ],
  operands: [{ name: 'FILE...', help: ['the images: file names, or with --image-opts descriptions'] }],
};

/** Sockets that systemd hands over begin at this number (sd_listen_fds(3)). */
const FIRST_FD = 3;

/** Where to listen. */
function addressOf(given: Given): SocketAddress | undefined {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = process.env;
  const path = given.text('socket');
  const [host, port] = [given.text('bind'), given.text('port')];
  if (path !== undefined && (host !== undefined || port !== undefined)) {
    throw mistake('A socket (-k) has neither address (-b) nor port (-p)');
  }
  if (pid === String(process.pid) && count !== undefined) {
    if (path !== undefined || host !== undefined || port !== undefined) {
      throw mistake('-k, -b and -p have no effect: the socket is handed over by the caller (LISTEN_FDS)');
    }
    if (count !== '1') throw mistake(`One socket can be handed over (LISTEN_FDS), not ${count}`);
    return { type: 'fd', number: FIRST_FD };
  }
  if (path !== undefined) return { type: 'unix', path };
  if (host === undefined && port === undefined) return undefined;
  return { type: 'inet', host: host ?? '127.0.0.1', port: port ?? '10809' };
}

/** The exports, with the names and descriptions that are given in the order of the files. */
function exportsOf(
  session: Session,
  given: Given,
  names: readonly string[],
  texts: readonly string[],
): readonly ExportRequest[] {
  const { operands } = given;
  if (operands.length === 0) throw new UsageError('Expecting at least one image file name');
  for (const [option, values] of [
    ['-x', names],
    ['-D', texts],
  ] as const) {
    if (values.length > 0 && values.length !== operands.length) {
      throw mistake(`${option} is needed for each of the images or for none: ${operands.length} times`);
    }
  }
  return operands.map((filename, index) => ({
    image: imageSource(session, given, filename),
    name: names[index] ?? (operands.length === 1 ? '' : filename.slice(filename.lastIndexOf('/') + 1)),
    description: texts[index],
  }));
}

function discardValue(text: string): 'ignore' | 'unmap' {
  if (text === 'unmap' || text === 'on') return 'unmap';
  if (text === 'ignore' || text === 'off') return 'ignore';
  throw mistake(`Invalid discard mode '${text}': unmap or ignore is expected`);
}

/** How the server shows that it is at work. */
interface Signs {
  readonly pidFile: string | undefined;
  /** Print where the exports are. */
  readonly uris: boolean;
}

function nameOf({ number, export: name }: Client): string {
  return `client ${number}${name === '' ? '' : ` of '${name}'`}`;
}

/** Serves until it is told to end, or the last client has gone. */
function executor({ pidFile, uris }: Signs, verbose: boolean): Executor<'serve'> {
  return async ({ serve }, request, { context, out, err }) => {
    const told: ServeRequest = {
      ...request,
      connected: (client) => void (verbose && err(`qimg serve: ${nameOf(client)} is there\n`)),
      disconnected: (client, reason) => {
        if (verbose) err(`qimg serve: ${nameOf(client)} has gone${reason === undefined ? '' : `: ${reason}`}\n`);
      },
    };
    await stoppable(
      context,
      async (inner) => {
        const server = await serve(inner, told);
        try {
          if (pidFile !== undefined) writePid(pidFile);
          if (uris) out(server.uris.map((uri) => `${uri}\n`).join(''));
          // Whoever waits for them is to have them now.
          err('');
        } catch (error) {
          await server.close().catch(() => undefined);
          throw error;
        }
        await server.done;
      },
      Number.POSITIVE_INFINITY,
    );
    if (pidFile !== undefined) rmSync(hostName(pidFile), { force: true });
    return 0;
  };
}

function writePid(file: string): void {
  try {
    writeFileSync(hostName(file), `${process.pid}\n`);
  } catch (cause) {
    throw new BlockError('io', `Could not write the PID file '${file}'`, { cause });
  }
}

/** `serve`. */
export const command: Command = defineCommand(syntax, async (session, args) => {
  const [names, texts, bitmaps]: string[][] = [[], [], []];
  const given = await session.read(args, {
    'export-name': (text) => names?.push(text),
    description: (text) => texts?.push(text),
    bitmap: (text) => bitmaps?.push(text),
    'load-snapshot': (text) => snapshotValue(session, text),
    port: (text) => countValue('port', text, 0n, 65535n),
    shared: (text) => countValue('number of clients', text, 0n, INT32_MAX),
    'handshake-limit': (text) => countValue('handshake limit', text, 0n, 1000000n),
    discard: discardValue,
    cache: (text) => cacheValue(text),
  });
  const ways = ['writable', 'snapshot', 'load-snapshot', 'read-only'].filter((id) => given.has(id));
  if (ways.length > 1 && !(ways.length === 2 && ways.includes('load-snapshot') && ways.includes('read-only'))) {
    throw mistake(`--${ways[0]} and --${ways[1]} are mutually exclusive`);
  }
  if (given.has('all-bitmaps') && given.has('bitmap'))
    throw mistake('--bitmap and --all-bitmaps are mutually exclusive');
  if (given.has('nocache') && given.has('cache')) throw mistake('--nocache and --cache are mutually exclusive');
  const request: ServeRequest = {
    exports: exportsOf(session, given, names ?? [], texts ?? []),
    writable: given.has('writable'),
    temporary: given.has('snapshot'),
    snapshot: given.values['load-snapshot'],
    bitmaps: given.has('all-bitmaps') ? 'all' : bitmaps,
    allocationDepth: given.has('allocation-depth'),
    discard: given.values.discard,
    cache: given.has('nocache') ? 'none' : given.values.cache,
    address: addressOf(given),
    tlsCredentials: given.text('tls-creds'),
    shared: given.values.shared,
    persistent: given.has('persistent'),
    handshakeLimit: given.values['handshake-limit'],
    forceShare: given.has('force-share'),
  };
  const uris = given.has('print-uri') || given.values.port === 0 || isatty(1);
  return session.execute('serve', request, executor({ pidFile: given.text('pid-file'), uris }, given.has('verbose')));
});
