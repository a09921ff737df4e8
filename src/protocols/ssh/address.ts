/** Which file of which machine: from file names, and from options in their several forms. */
import { invalidArgument } from '../../base/error.ts';
import { bytesOf, isEscaped, textOf } from '../../base/text.ts';
import { parseBool } from '../../options/coerce.ts';
import { flatten, isTree } from '../../options/dotted.ts';
import { printJsonName } from '../../options/jsonName.ts';
import { inOrder } from '../../options/order.ts';
import type { OptionTree } from '../../options/tree.ts';
import { openOptions } from './options.ts';

/** Hashes that a host key can be checked by. */
const HASHES = ['md5', 'sha1', 'sha256'] as const;

/** How the key of a machine is checked. */
export type HostKeyCheck =
  /** Any key will do. */
  | { readonly mode: 'none' }
  /** It has to be in the lists that ssh has. */
  | { readonly mode: 'known_hosts' }
  /** Its hash has to be that one: hexadecimal digits, perhaps with colons between them. */
  | { readonly mode: 'hash'; readonly type: (typeof HASHES)[number]; readonly hash: string };

/** A machine, and who logs in there. */
export interface Place {
  /** Neither begins with `-`, and both hold nothing that a shell would understand. */
  readonly host: string;
  readonly user?: string;
  /** A number. Absent, as for `user`: what ssh is configured to use. */
  readonly port?: string;
  /** Which addresses of the machine may be used. Default: all. */
  readonly families?: 'ipv4' | 'ipv6';
  readonly check: HostKeyCheck;
}

/** A file of a machine. */
export interface Address {
  readonly place: Place;
  readonly path: string;
}

/** Options for a file name: `ssh://[USER@]HOST[:PORT]/PATH[?host_key_check=CHECK]`. */
export function parseName(name: string): OptionTree {
  const [, authority = '', path = '', query = ''] = /^ssh:(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?/s.exec(name) ?? [];
  const [, user = '', bracketed, plain = '', port = ''] =
    /^(?:(.*)@)?(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/s.exec(authority) ?? [];
  const host = decoded(bracketed ?? plain);
  if (host === '') throw invalidArgument('missing hostname in URI');
  if (path === '') throw invalidArgument('missing remote path in URI');
  let check: string | undefined;
  for (const parameter of query.split(/[&;]/)) {
    const [key = '', value] = parameter.split(/=(.*)/s);
    // Others mean nothing to the real tool, either.
    if (decoded(key) === 'host_key_check' && value !== undefined) check = decoded(value);
  }
  return {
    ...(user === '' ? {} : { user: decoded(user) }),
    'server.host': host,
    // No port at all is as good as 0.
    ...(/^0*$/.test(port) ? {} : { 'server.port': port }),
    path: decoded(path),
    ...(check === undefined ? {} : { host_key_check: check }),
  };
}

/** A part of a URI with its `%` escapes undone; these stand for bytes. */
function decoded(text: string): string {
  if (!text.includes('%')) return text;
  const pieces = text.split(/(%[0-9a-fA-F]{2})/);
  const bytes = pieces.flatMap((piece, index) =>
    index % 2 === 1 ? [Number.parseInt(piece.slice(1), 16)] : [...bytesOf(piece)],
  );
  if (bytes.includes(0) || pieces.some((piece, index) => index % 2 === 0 && piece.includes('%'))) {
    throw invalidArgument(`invalid escape in URI: '${text}'`);
  }
  return textOf(Uint8Array.from(bytes));
}

/** Options by their whole names, as text. */
type Flat = ReadonlyMap<string, string>;

function flatOptions(given: OptionTree): Flat {
  const flat = new Map<string, string>();
  for (const [name, value] of flatten(given)) {
    if (value === null) continue;
    if (typeof value === 'object' && !isTree(value)) throw invalidArgument(`Parameter '${name}' is unexpected`);
    if (typeof value === 'object') continue;
    flat.set(name, typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value));
  }
  return flat;
}

/**
 * The file that options are about.
 * @throws BlockError in the real tool's words, if they contradict each other or say too little.
 */
export function addressOf(given: OptionTree): Address {
  const flat = flatOptions(given);
  const [oldHost, oldPort] = [flat.get('host'), flat.get('port')];
  if (oldPort !== undefined && oldHost === undefined) throw invalidArgument('port may not be used without host');
  const host = oldHost ?? flat.get('server.host');
  const port = oldHost === undefined ? flat.get('server.port') : oldPort;
  if (host === undefined) {
    const some = [...flat.keys()].some((name) => name.startsWith('server.'));
    throw invalidArgument(`Parameter '${some ? 'server.host' : 'server'}' is missing`);
  }
  const path = flat.get('path');
  if (path === undefined) throw invalidArgument("Parameter 'path' is missing");
  const check = checkOf(flat);
  const unknown = [...flat.keys()].find((name) => !Object.hasOwn(openOptions, name));
  if (unknown !== undefined) throw invalidArgument(`Parameter '${unknown}' is unexpected`);
  const user = flat.get('user');
  const families = familiesOf(flat);
  checkWord('host name', host, '@/');
  if (user !== undefined) checkWord('user name', user, '');
  if (port !== undefined && !isPort(port)) throw invalidArgument(`invalid port '${port}'`);
  return {
    path,
    place: {
      host,
      ...(user === undefined ? {} : { user }),
      ...(port === undefined ? {} : { port: String(Number(port)) }),
      ...(families === undefined ? {} : { families }),
      check,
    },
  };
}

function isPort(text: string): boolean {
  return /^\d{1,9}$/.test(text) && Number(text) > 0 && Number(text) < 65536;
}

/**
 * Names become arguments of ssh, and parts of the commands that its configuration may have (`ProxyCommand`, `Match exec`).
 * So nothing may be in them that ssh takes for an option, or that a shell would understand; it does not let such names in
 * itself, since it learned that.
 */
function checkWord(what: string, word: string, more: string): void {
  const bad = /[\s\p{Cc}'"`$\\;&<>|(){}]/u.test(word) || Array.from(more).some((character) => word.includes(character));
  if (word === '' || word.startsWith('-') || bad || isEscaped(word)) throw invalidArgument(`invalid ${what} '${word}'`);
}

function familiesOf(flat: Flat): Place['families'] {
  const flag = (name: string): boolean | undefined => {
    const text = flat.get(name);
    return text === undefined ? undefined : parseBool(name, text);
  };
  const [ipv4, ipv6] = [flag('server.ipv4'), flag('server.ipv6')];
  if (ipv4 === false && ipv6 === false) throw invalidArgument('Cannot disable IPv4 and IPv6 at same time');
  if (ipv6 === false || (ipv4 === true && ipv6 !== true)) return 'ipv4';
  return ipv4 === false || (ipv6 === true && ipv4 !== true) ? 'ipv6' : undefined;
}

/** How the key is checked; the older form wins over the newer one, as in the real tool. */
function checkOf(flat: Flat): HostKeyCheck {
  const old = flat.get('host_key_check');
  if (old !== undefined) return oldCheck(old);
  const group = [...flat.keys()].filter((name) => name.startsWith('host-key-check.'));
  if (flat.has('host-key-check')) {
    throw invalidArgument("Invalid parameter type for 'host-key-check', expected: object");
  }
  if (group.length === 0) return { mode: 'known_hosts' };
  const get = (name: string): string => {
    const value = flat.get(`host-key-check.${name}`);
    if (value === undefined) throw invalidArgument(`Parameter 'host-key-check.${name}' is missing`);
    return value;
  };
  const mode = get('mode');
  if (mode === 'none' || mode === 'known_hosts') {
    const unexpected = group.find((name) => name !== 'host-key-check.mode');
    if (unexpected !== undefined) throw invalidArgument(`Parameter '${unexpected}' is unexpected`);
    return { mode };
  }
  if (mode !== 'hash') throw invalidArgument(`Parameter 'mode' does not accept value '${mode}'`);
  const word = get('type');
  const type = HASHES.find((known) => known === word);
  if (!type) throw invalidArgument(`Parameter 'type' does not accept value '${word}'`);
  return { mode, type, hash: get('hash') };
}

function oldCheck(text: string): HostKeyCheck {
  if (text === 'no') return { mode: 'none' };
  if (text === 'yes') return { mode: 'known_hosts' };
  const type = HASHES.find((known) => text.startsWith(`${known}:`));
  if (!type) throw invalidArgument(`unknown host_key_check setting (${text})`);
  return { mode: 'hash', type, hash: text.slice(type.length + 1) };
}

/** Options that no file name says, as the real tool has it. */
const UNSPOKEN = /^server\.(ipv4|ipv6|to|numeric|keep-alive.*|mptcp)$/;

/**
 * The name under which the same file can be opened again.
 * @param settled the user and the port that ssh takes.
 */
export function printName(
  { place, path }: Address,
  given: OptionTree,
  settled: { readonly user: string | undefined; readonly port: string },
): string {
  const flat = flatOptions(given);
  const unspoken = [...flat.keys()].some((name) => UNSPOKEN.test(name));
  if (unspoken || !path.startsWith('/')) {
    return printJsonName({ ...Object.fromEntries(inOrder([...flat])), driver: 'ssh' });
  }
  const user = settled.user === undefined ? '' : `${settled.user}@`;
  const host = place.host.includes(':') ? `[${place.host}]` : place.host;
  const check = flat.get('host_key_check');
  // The real tool prints these as they are, which makes the name of another file of them.
  const name = path.replace(/[%?#]/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
  return `ssh://${user}${host}:${settled.port}${name}${check === undefined ? '' : `?host_key_check=${check}`}`;
}
