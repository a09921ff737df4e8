/** Which proxy stands between this machine and a server, by the variables of the environment that curl knows. */
import { BlockList, isIP } from 'node:net';
import { invalidArgument } from '../../base/error.ts';
import type { Login } from '../../block/http.ts';

/** A proxy of HTTP. */
export interface Proxy {
  /** Whether one talks to the proxy itself with TLS. */
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  readonly login: Login | undefined;
}

/** As in curl. */
const PORT = 1080;

/** A variable in small or capital letters; `http_proxy` only in small ones, since servers set the other for their children. */
function variable(env: NodeJS.ProcessEnv, name: string): string {
  const capital = name === 'http_proxy' ? undefined : env[name.toUpperCase()];
  return (env[name] ?? capital ?? '').trim();
}

/**
 * The proxy for a server; undefined: there is none.
 * @param scheme of the address, without colon.
 * @throws BlockError if it is of a kind that nobody speaks here.
 */
export function proxyFor(env: NodeJS.ProcessEnv, scheme: string, host: string): Proxy | undefined {
  const text = variable(env, `${scheme}_proxy`) || variable(env, 'all_proxy');
  if (text === '' || isDirect(variable(env, 'no_proxy'), host)) return undefined;
  const [, kind = 'http', rest = ''] = /^(?:([a-z\d+.-]+):\/\/)?(.*)$/is.exec(text) ?? [];
  const [, login, numeric, name = '', port] =
    /^(?:(.*)@)?(?:\[([^\]]*)\]|([^:/]*))(?::(\d+))?(?:\/.*)?$/s.exec(rest) ?? [];
  if (!/^https?$/i.test(kind)) throw invalidArgument(`Unsupported proxy scheme for '${kind}://${numeric ?? name}'`);
  const secure = kind.toLowerCase() === 'https';
  const address = numeric ?? name;
  if (address === '') throw invalidArgument('Unsupported proxy syntax in the environment');
  const [, username = '', password = ''] = /^([^:]*):?(.*)$/s.exec(login ?? '') ?? [];
  return {
    secure,
    host: address,
    port: port === undefined ? (secure ? 443 : PORT) : Number(port),
    login: login === undefined ? undefined : { username: unescaped(username), password: unescaped(password) },
  };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Whether a list of names that need no proxy has a host: names stand for all below them, numbers for themselves, and with
 * `/BITS` for a network; `*` for everybody.
 */
function isDirect(list: string, host: string): boolean {
  if (list === '*') return true;
  const name = host.toLowerCase().replace(/\.$/, '');
  const family = isIP(name);
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => (family === 0 ? isBelow(name, entry) : isWithin(name, family, entry)));
}

function isBelow(name: string, entry: string): boolean {
  const domain = entry.replace(/^\./, '').replace(/\.$/, '');
  return name === domain || name.endsWith(`.${domain}`);
}

function isWithin(number: string, family: number, entry: string): boolean {
  const [network = '', bits] = entry.replace(/[[\]]/g, '').split('/');
  if (isIP(network) !== family) return false;
  const list = new BlockList();
  const type = family === 6 ? 'ipv6' : 'ipv4';
  const most = family === 6 ? 128 : 32;
  const prefix = bits === undefined ? most : Number(bits);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > most) return false;
  list.addSubnet(network, prefix, type);
  return list.check(number, type);
}
