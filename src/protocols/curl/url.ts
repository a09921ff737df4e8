/** Addresses of HTTP and FTP: their parts, and where redirects lead (RFC 3986). */
import { invalidArgument } from '../../base/error.ts';
import { bytesOf, textOf } from '../../base/text.ts';
import type { Login } from '../../block/http.ts';

/** What the drivers are called, and their addresses begin with. */
export type Scheme = 'http' | 'https' | 'ftp' | 'ftps';

/** The ports of addresses that do not name one. */
const PORTS: Readonly<Record<Scheme, number>> = { http: 80, https: 443, ftp: 21, ftps: 990 };

/** An address in parts. */
export interface Address {
  readonly scheme: Scheme;
  /** Who one is there; undefined if the address does not say. */
  readonly login: Login | undefined;
  /** Name or number, without brackets. */
  readonly host: string;
  readonly port: number;
  /** From the first `/` on, with query, without fragment; escaped. */
  readonly path: string;
}

function rejected(why: string): Error {
  return invalidArgument(`URL rejected: ${why}`);
}

/**
 * The parts of an address.
 * @throws BlockError in curl's words.
 */
export function parseUrl(url: string): Address {
  const [, scheme = '', rest = ''] = /^([a-z]+):\/\/(.*)$/is.exec(url) ?? [];
  const known = scheme.toLowerCase();
  if (!isScheme(known)) throw invalidArgument(`Protocol "${known}" not supported`);
  const [, authority = '', tail = ''] = /^([^/?#]*)(.*)$/s.exec(rest) ?? [];
  const at = authority.lastIndexOf('@');
  const [, bracketed, plain = '', port = ''] =
    /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/s.exec(authority.slice(at + 1)) ?? [];
  const host = bracketed ?? decoded(plain);
  if (host === '') throw rejected('No host present');
  if (bracketed === undefined ? /[^\p{L}\p{N}\p{M}._~!$&'()*+,;=-]/u.test(host) : !/^[\da-f:.]+(%.+)?$/i.test(host)) {
    throw rejected('Bad hostname');
  }
  if (!/^\d*$/.test(port) || Number(port) > 0xffff) {
    throw rejected('Port number was not a decimal number between 0 and 65535');
  }
  const path = tail.replace(/#.*$/s, '');
  if (/[\p{Cc} ]/u.test(path)) throw rejected('Bad path');
  return {
    scheme: known,
    login: at < 0 ? undefined : loginOf(authority.slice(0, at)),
    host,
    port: port === '' ? PORTS[known] : Number(port),
    path: escaped(withoutDots(path.startsWith('/') ? path : `/${path}`)),
  };
}

function isScheme(text: string): text is Scheme {
  return Object.hasOwn(PORTS, text);
}

function loginOf(text: string): Login {
  const [, username = '', password = ''] = /^([^:]*):?(.*)$/s.exec(text) ?? [];
  return { username: decoded(username), password: decoded(password) };
}

/** A part of an address with its `%` escapes undone; these stand for bytes. What is no escape stays. */
export function decoded(text: string): string {
  if (!text.includes('%')) return text;
  const bytes: number[] = [];
  for (const [part] of text.matchAll(/%[\da-f]{2}|%|[^%]+/gi)) {
    if (part.length === 3 && part.startsWith('%')) bytes.push(Number.parseInt(part.slice(1), 16));
    else bytes.push(...bytesOf(part));
  }
  return textOf(Uint8Array.from(bytes));
}

/** A path whose bytes beyond ASCII are escaped, which headers cannot have. */
function escaped(path: string): string {
  return path.replace(/\P{ASCII}+/gu, (text) =>
    [...bytesOf(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}

/** A path without `.` and `..` (RFC 3986, section 5.2.4). */
function withoutDots(whole: string): string {
  const [, path = '', query = ''] = /^([^?]*)(.*)$/s.exec(whole) ?? [];
  if (!path.includes('/.')) return whole;
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if (isLast && (segment === '..' || segment === '.')) kept.push('');
  }
  return `/${kept.join('/')}${query}`;
}

/** Scheme, host and port in the form of an address: two addresses with the same belong to one server. */
export function originOf({ scheme, host, port }: Address): string {
  const shown = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${shown}${port === PORTS[scheme] ? '' : `:${port}`}`;
}

/** The address without its credentials. */
export function printUrl(address: Address): string {
  return `${originOf(address)}${address.path}`;
}

/**
 * Where `location` leads, seen from `base` (RFC 3986, section 5.2).
 * @throws BlockError if that is no address of HTTP.
 */
export function redirected(base: Address, location: string): Address {
  const text = location.trim().replace(/ /g, '%20');
  const target = parseUrl(wholeUrl(base, text));
  if (target.scheme === 'http' || target.scheme === 'https') return target;
  throw invalidArgument(`Protocol "${target.scheme}" not supported`);
}

function wholeUrl(base: Address, text: string): string {
  if (/^[a-z][a-z\d+.-]*:/i.test(text)) return text;
  if (text.startsWith('//')) return `${base.scheme}:${text}`;
  if (text.startsWith('/')) return `${originOf(base)}${text}`;
  const path = base.path.replace(/\?.*$/s, '');
  const start = text.startsWith('?') || text === '' ? path : path.slice(0, path.lastIndexOf('/') + 1);
  return `${originOf(base)}${start}${text}`;
}
