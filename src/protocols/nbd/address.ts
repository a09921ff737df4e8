/** Where a server is: from file names, and from options in their several forms. */
import { invalidArgument } from '../../base/error.ts';
import { isTree } from '../../options/dotted.ts';
import { parseBool } from '../../options/coerce.ts';
import { parseInteger } from '../../base/size.ts';
import { bytesOf, textOf } from '../../base/text.ts';
import type { SocketAddress } from '../../block/net.ts';
import type { OptionTree } from '../../options/tree.ts';

/** The port where names do not say it. */
const PORT = '10809';

/** The name prefixes of URIs, without the colon. */
export const URI_SCHEMES: readonly string[] = ['nbd', 'nbd+tcp', 'nbd+unix'];

const NO_URL = 'No valid URL specified';

/** Options for a file name: a URI, or the older form with colons. */
export function parseName(name: string): OptionTree {
  const scheme = /^([^:]*):\/\//.exec(name)?.[1];
  if (scheme !== undefined && URI_SCHEMES.includes(scheme)) return parseUri(scheme, name.slice(scheme.length + 3));
  const [, whole = '', exportName = ''] = /^(.*?)(?::exportname=(.*))?$/s.exec(name) ?? [];
  if (!whole.startsWith('nbd:')) throw invalidArgument("File name string for NBD must start with 'nbd:'");
  const place = whole.slice(4);
  // An export without a name takes all of it away, as in the real tool.
  if (place === '' || (exportName === '' && name.endsWith(':exportname='))) return {};
  const own = exportName === '' ? {} : { export: exportName };
  if (place.startsWith('unix:')) return { 'server.type': 'unix', 'server.path': place.slice(5), ...own };
  const { host, port } = hostAndPort(place);
  return { 'server.type': 'inet', 'server.host': host, 'server.port': port, ...own };
}

/** `HOST:PORT` or `[ADDRESS]:PORT`, and options behind a comma, which say nothing here. */
function hostAndPort(text: string): { readonly host: string; readonly port: string } {
  const numeric = text.startsWith('[');
  const [, host, port] = (numeric ? /^\[([^\]]+)\]:([^,]+)/ : /^([^:]*):([^,]+)/).exec(text) ?? [];
  if (host === undefined || port === undefined) {
    throw invalidArgument(numeric ? `error parsing IPv6 address '${text}'` : `error parsing address '${text}'`);
  }
  return { host, port };
}

function parseUri(scheme: string, rest: string): OptionTree {
  const [, authority = '', path = '', query] = /^([^/?#]*)([^?#]*)(?:\?([^#]*))?/.exec(rest) ?? [];
  const exportName = decoded(path).replace(/^\//, '');
  const own = exportName === '' ? {} : { export: exportName };
  const parameters = (query ?? '') === '' ? [] : (query ?? '').split('&').map(parameterOf);
  if (scheme === 'nbd+unix') {
    // The last one counts.
    const socket = parameters.at(-1)?.value;
    if (authority !== '' || socket === undefined || parameters.some(({ name }) => name !== 'socket')) {
      throw invalidArgument(NO_URL);
    }
    return { 'server.type': 'unix', 'server.path': socket, ...own };
  }
  const [, bracketed, plain = '', port] = /^(?:[^@]*@)?(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(authority) ?? [];
  const isNumber = bracketed === undefined || /^[\da-fA-F:.]+(%25.+)?$/.test(bracketed);
  const host = decoded(bracketed ?? '') || plain;
  if (host === '' || plain.includes('%') || !isNumber || parameters.length > 0) throw invalidArgument(NO_URL);
  if (Number(port ?? 0) > 0xffff) throw invalidArgument(NO_URL);
  return { 'server.type': 'inet', 'server.host': host, 'server.port': String(Number(port ?? 0) || PORT), ...own };
}

function parameterOf(text: string): { readonly name: string; readonly value: string } {
  const at = text.indexOf('=');
  if (at < 0) throw invalidArgument(NO_URL);
  return { name: decoded(text.slice(0, at)), value: decoded(text.slice(at + 1)) };
}

/** A part of a URI with its `%` escapes undone; these stand for bytes. */
function decoded(text: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; ) {
    if (text[at] !== '%') {
      const end = text.indexOf('%', at);
      bytes.push(...bytesOf(text.slice(at, end < 0 ? text.length : end)));
      at = end < 0 ? text.length : end;
      continue;
    }
    const digits = text.slice(at + 1, at + 3);
    if (!/^[0-9a-fA-F]{2}$/.test(digits) || digits === '00') throw invalidArgument(NO_URL);
    bytes.push(Number.parseInt(digits, 16));
    at += 3;
  }
  return textOf(Uint8Array.from(bytes));
}

/** The options of the `server` group by the type of address, and what kind of value each has. */
const SERVER: Readonly<Record<string, Readonly<Record<string, 'string' | 'bool' | 'uint16' | 'uint32'>>>> = {
  inet: {
    host: 'string',
    port: 'string',
    numeric: 'bool',
    to: 'uint16',
    ipv4: 'bool',
    ipv6: 'bool',
    'keep-alive': 'bool',
    'keep-alive-count': 'uint32',
    'keep-alive-idle': 'uint32',
    'keep-alive-interval': 'uint32',
    mptcp: 'bool',
  },
  unix: { path: 'string', abstract: 'bool', tight: 'bool' },
  vsock: { cid: 'string', port: 'string' },
  fd: { str: 'string' },
};

/** What has to be there. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  inet: ['host', 'port'],
  unix: ['path'],
  vsock: ['cid', 'port'],
  fd: ['str'],
};

/** The `server` options as they were given: `server.host` and the like, the older ones in their place. */
export type ServerOptions = Readonly<Record<string, string>>;

/**
 * The address in the options of a node, in the form with `server.` in front.
 * @throws BlockError in the real tool's words, if they contradict each other or say nothing.
 */
export function serverOptions(given: OptionTree): ServerOptions {
  const { server } = given;
  const options: Record<string, string> = {};
  const parts = Object.entries(given).filter(([name]) => name.startsWith('server.'));
  const group = [
    ...Object.entries(isTree(server) ? server : {}),
    ...parts.map(([name, value]) => [name.slice(7), value] as const),
  ];
  for (const [name, value] of group) {
    const text = textOfOption(name, value);
    if (text !== undefined) options[name] = text;
  }
  const [path, host, port] = ['path', 'host', 'port'].map((name) => textOfOption(name, given[name]));
  if (path !== undefined && host !== undefined) {
    throw invalidArgument('path and host may not be used at the same time');
  }
  if (path !== undefined && port !== undefined) throw invalidArgument('port may not be used without host');
  const old = path !== undefined || host !== undefined;
  if (old && Object.keys(options).length > 0) {
    throw invalidArgument("Cannot use 'server' and path/host/port at the same time");
  }
  if (path !== undefined) return { type: 'unix', path };
  if (host !== undefined) return { type: 'inet', host, port: port ?? PORT };
  if (Object.keys(options).length === 0) throw invalidArgument('NBD server address missing');
  return options;
}

/** JSON's null is as good as nothing. */
function textOfOption(name: string, value: OptionTree[string] | undefined): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object') throw invalidArgument(`Parameters '${name}.*' are unexpected`);
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return String(value);
}

/** The address that {@link serverOptions} are about. */
export function addressOf(options: ServerOptions): SocketAddress {
  const { type, ...own } = options;
  if (type === undefined) throw invalidArgument("Parameter 'type' is missing");
  const kinds = Object.hasOwn(SERVER, type) ? SERVER[type] : undefined;
  if (!kinds) throw invalidArgument(`Parameter 'type' does not accept value '${type}'`);
  for (const name of NEEDED[type] ?? []) {
    if (own[name] === undefined) throw invalidArgument(`Parameter '${name}' is missing`);
  }
  const flags: Record<string, boolean> = {};
  for (const [name, kind] of Object.entries(kinds)) {
    const text = own[name];
    if (text === undefined || kind === 'string') continue;
    if (kind === 'bool') flags[name] = parseBool(name, text);
    else checkNumber(name, text, kind);
  }
  const unknown = Object.keys(own).find((name) => !Object.hasOwn(kinds, name));
  if (unknown !== undefined) throw invalidArgument(`Parameter '${unknown}' is unexpected`);
  return typedAddress(type, own, flags);
}

function checkNumber(name: string, text: string, kind: 'uint16' | 'uint32'): void {
  const parsed = parseInteger(text);
  if (parsed.kind !== 'ok') throw invalidArgument(`Parameter '${name}' expects integer`);
  const limit = kind === 'uint16' ? 0xffff : 0xffffffff;
  if (parsed.value < 0 || parsed.value > limit) throw invalidArgument(`Parameter '${name}' expects ${kind}_t`);
}

function typedAddress(
  type: string,
  { host = '', port = '', path = '', cid = '', str = '' }: ServerOptions,
  { ipv4, ipv6, abstract }: Readonly<Record<string, boolean>>,
): SocketAddress {
  switch (type) {
    case 'unix':
      return { type, path, ...(abstract === true ? { abstract } : {}) };
    case 'fd':
      if (!/^-?\d{1,9}$/.test(str)) throw invalidArgument(`Unable to parse FD number ${str}`);
      if (str.startsWith('-')) throw invalidArgument(`File descriptor '${str}' is not a socket`);
      return { type, number: Number(str) };
    case 'vsock':
      throw invalidArgument(`Failed to connect to '${cid}:${port}': sockets of virtual machines cannot be used here`);
    default: {
      if (ipv4 === false && ipv6 === false) throw invalidArgument('Cannot disable IPv4 and IPv6 at same time');
      const only4 = ipv6 === false || (ipv4 === true && ipv6 !== true);
      const only6 = ipv4 === false || (ipv6 === true && ipv4 !== true);
      const families = only4 ? 'ipv4' : only6 ? 'ipv6' : undefined;
      return { type: 'inet', host, port, ...(families === undefined ? {} : { families }) };
    }
  }
}

/** Options of `server` that no file name can say. */
const UNSPOKEN = ['to', 'ipv4', 'ipv6'];

/** The file name of an export; undefined if it takes more than that to say. */
export function printName(server: ServerOptions, exportName: string | undefined): string | undefined {
  if (UNSPOKEN.some((name) => server[name] !== undefined)) return undefined;
  const path = exportName === undefined ? '' : `/${exportName}`;
  if (server['type'] === 'unix') return `nbd+unix://${path}?socket=${server['path'] ?? ''}`;
  if (server['type'] === 'inet') return `nbd://${server['host'] ?? ''}:${server['port'] ?? ''}${path}`;
  return undefined;
}

/** The URI of an export of a server, for every client (doc/uri.md of the NBD project). */
export function uriOf(address: SocketAddress, exportName: string, encrypted: boolean): string {
  const scheme = encrypted ? 'nbds' : 'nbd';
  const path = exportName === '' ? '' : escaped(exportName);
  if (address.type === 'unix') {
    return `${scheme}+unix:///${path}?socket=${escaped(`${address.abstract ? '@' : ''}${address.path}`)}`;
  }
  if (address.type === 'fd') return `${scheme}://fd:${address.number}/${path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${scheme}://${host}:${address.port}/${path}`;
}

/** Text with `%` escapes for all that is not plain. */
function escaped(text: string): string {
  return [...bytesOf(text)]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return /[\w.~/-]/.test(letter) ? letter : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}
