/** The system's `ssh`, which has the keys, the agent, the lists of hosts and the configuration of the user. */
import { asBlockError, BlockError, unsupported } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import { textOf } from '../../base/text.ts';
import type { ProgramEnd, RunningProgram } from '../../block/programs.ts';
import type { Services } from '../../block/services.ts';
import type { Place } from './address.ts';
import { type HostKey, keyLearning, keyPinning, learnedKey, mismatch } from './hostKey.ts';
import { Session } from './session.ts';

/**
 * What holds for every connection, whatever the configuration says: nobody is asked, nothing else is forwarded or started,
 * and a machine that has gone silent is given up (OpenSSH's ssh_config).
 */
const ALWAYS: readonly string[] = [
  '-x',
  '-a',
  '-T',
  ...[
    'BatchMode=yes',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    'ControlMaster=no',
    'LogLevel=ERROR',
    'ConnectTimeout=30',
    'ServerAliveInterval=15',
    'ServerAliveCountMax=4',
  ].map((option) => `-o${option}`),
];

/** No list of hosts is looked at. */
const NO_LISTS: readonly string[] = ['-oUserKnownHostsFile=/dev/null', '-oGlobalKnownHostsFile=/dev/null'];

/** Whom to reach, and how. */
function reaching({ user, port, families }: Place): readonly string[] {
  return [
    ...(families === undefined ? [] : [families === 'ipv4' ? '-4' : '-6']),
    ...(port === undefined ? [] : ['-p', port]),
    ...(user === undefined ? [] : ['-l', user]),
  ];
}

/** How the key of the machine is checked. @param key the one that it has to have, if the check is by hash. */
function checking({ check }: Place, key: HostKey | undefined): readonly string[] {
  if (check.mode === 'known_hosts') return ['-oStrictHostKeyChecking=yes'];
  if (check.mode === 'none') return ['-oStrictHostKeyChecking=no', ...NO_LISTS];
  return [...NO_LISTS, ...keyPinning(key)];
}

/** Starts ssh. Behind `--` nothing is an option. */
function start({ programs }: Services, args: readonly string[]): Promise<RunningProgram> {
  if (!programs) throw unsupported('There are no other programs here');
  return programs.start('ssh', args);
}

/** Logs in, and begins to speak SFTP. @throws BlockError why that is not possible, in the real tool's words. */
export async function logIn(services: Services, place: Place): Promise<Session> {
  const key = place.check.mode === 'hash' ? await learnKey(services, place) : undefined;
  const args = [...ALWAYS, ...reaching(place), ...checking(place, key), '-s', '--', place.host, 'sftp'];
  const program = await start(services, args);
  try {
    return await Session.start(program, async () => {
      const words = lastLine((await program.ended).complaint);
      return words === undefined ? undefined : `ssh: ${words}`;
    });
  } catch (thrown) {
    const error = asBlockError(thrown);
    program.close();
    if (error.code !== 'EPIPE') throw error;
    throw explained(await program.ended, place);
  }
}

/** The key that the machine has now, if it is the one whose hash was given. */
async function learnKey(services: Services, place: Place): Promise<HostKey> {
  const program = await start(services, [
    ...ALWAYS,
    ...reaching(place),
    ...NO_LISTS,
    ...keyLearning(),
    '-s',
    '--',
    place.host,
    'sftp',
  ]);
  program.patience(60000);
  try {
    await program.read(new Uint8Array(1));
  } finally {
    program.close();
  }
  const end = await program.ended;
  const key = learnedKey(end.complaint);
  if (!key) throw explained(end, place);
  const wrong = mismatch(services.crypto, key, place.check);
  if (wrong) throw wrong;
  return key;
}

/** What ssh would do by its configuration. */
export interface Settled {
  readonly user: string | undefined;
  readonly port: string;
}

/** Asks ssh what it would do (`-G`), where the address leaves that open. */
export async function settle(services: Services, place: Place): Promise<Settled> {
  const { user, port } = place;
  if (user !== undefined && port !== undefined) return { user, port };
  const program = await start(services, ['-G', ...reaching(place), '--', place.host]);
  program.patience(30000);
  const pieces: number[] = [];
  try {
    const piece = new Uint8Array(65536);
    for (let count = piece.length; count === piece.length; ) {
      count = await program.read(piece);
      pieces.push(...piece.subarray(0, count));
    }
  } finally {
    program.close();
  }
  const lines = textOf(Uint8Array.from(pieces)).split('\n');
  const value = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1);
  return { user: user ?? value('user'), port: port ?? value('port') ?? '22' };
}

/** Most characters of what ssh says that become part of a message. */
const MAX_TEXT = 300;

/** The last thing that ssh has said, in one line. */
function lastLine(complaint: string): string | undefined {
  const lines = complaint.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  return lines.at(-1)?.trim().replace(/\.$/, '').slice(0, MAX_TEXT);
}

/** Why ssh has ended instead of connecting. */
function explained({ code, complaint }: ProgramEnd, place: Place): BlockError {
  const { host, port = '22' } = place;
  const at = `${host}:${port}`;
  const refused = /connect to (?:host|address) .* port \d+: (.*)/.exec(complaint)?.[1]?.trim();
  if (refused !== undefined) return new BlockError('io', `Failed to connect to '${at}': ${refused}`);
  const unknown = /Could not resolve hostname .*: (.*)/.exec(complaint)?.[1]?.trim();
  if (unknown !== undefined) return new BlockError('io', `address resolution failed for ${at}: ${unknown}`);
  const last = lastLine(complaint);
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED/.test(complaint)) {
    const [, type = '', print = ''] = /fingerprint for the (\S+) key[^\n]*\n(\S+?)\.?\r?\n/.exec(complaint) ?? [];
    const key = print === '' ? '' : ` (${type} key with fingerprint ${print})`;
    return denied(`host key${key} does not match the one in known_hosts; this may be a possible attack`);
  }
  if (/ host key is known for /.test(complaint)) return denied('no host key was found in known_hosts');
  if (/Host key verification failed/.test(complaint)) return denied('host key verification failed');
  if (/Permission denied/.test(complaint)) {
    const how = 'publickey authentication and the identities held by your ssh-agent';
    return denied(`failed to authenticate using ${how}: ${last}`);
  }
  if (/subsystem request failed/i.test(complaint)) {
    return new BlockError('io', `failed to create sftp handle: ${last}`);
  }
  if (code === 127 && last === undefined) return systemError('ENOENT', 'failed to start ssh', {});
  return new BlockError('io', `failed to establish SSH session: ${last ?? `ssh has ended with exit code ${code}`}`);
}

function denied(message: string): BlockError {
  return new BlockError('permission-denied', message, { posix: { code: 'EACCES', text: 'Permission denied' } });
}
