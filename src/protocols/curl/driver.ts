/** The protocols `http`, `https`, `ftp` and `ftps`: files on servers, read only. */
import { BlockError, invalidArgument, withPrefix } from '../../base/error.ts';
import { MAX_DISK, SECTOR } from '../../base/offset.ts';
import { textOf } from '../../base/text.ts';
import type { Login } from '../../block/http.ts';
import type { ProtocolContext, ProtocolDriver, ProtocolStorage } from '../../block/protocol.ts';
import { printJsonName } from '../../options/jsonName.ts';
import { flattenInOrder } from '../../options/order.ts';
import type { OptionTree } from '../../options/tree.ts';
import { FtpFile } from './ftp.ts';
import { HttpFile } from './http.ts';
import { type OpenOptions, openOptions } from './options.ts';
import type { Remote } from './remote.ts';
import { CurlFile, CurlStorage } from './storage.ts';
import { parseUrl, printUrl, type Scheme } from './url.ts';

/** Seconds: what there is by default, and at most. */
const TIMEOUT = { usual: 5, most: 10000 } as const;

/** Names of options that say which file it is, besides its address. */
const STRONG = /^(sslverify|cookie|cookie-secret|username|password-secret|proxy-username|proxy-password-secret)$/;

/** The name under which the same file can be opened again. */
function nameOf(scheme: Scheme, url: string, given: OptionTree): string {
  const options = flattenInOrder(given);
  if (!options.some(([name]) => STRONG.test(name))) return url;
  const strong = options.filter(([name]) => name === 'url' || STRONG.test(name));
  return printJsonName({ ...Object.fromEntries(strong), driver: scheme });
}

/** @throws BlockError for values that cannot be, in the order in which the real tool looks at them. */
function checkNumbers({ readahead, timeout }: OpenOptions): void {
  if (readahead !== undefined && readahead % SECTOR !== 0) {
    throw invalidArgument(`HTTP_READAHEAD_SIZE ${readahead} is not a multiple of ${SECTOR}`);
  }
  if (timeout !== undefined && (timeout < 0 || timeout > TIMEOUT.most)) {
    throw invalidArgument('timeout parameter is too large or negative');
  }
}

async function secretOf({ services }: ProtocolContext, id: string | undefined): Promise<string | undefined> {
  return id === undefined ? undefined : textOf(await services.secrets.get(id));
}

/** Who one is by a pair of options; undefined if neither is there. */
async function loginOf(
  context: ProtocolContext,
  username: string | undefined,
  secret: string | undefined,
): Promise<Login | undefined> {
  const password = await secretOf(context, secret);
  if (username === undefined && password === undefined) return undefined;
  return { username: username ?? '', password: password ?? '' };
}

async function openRemote(
  scheme: Scheme,
  url: string,
  context: ProtocolContext,
  options: OpenOptions,
): Promise<Remote> {
  const { 'cookie-secret': cookieSecret, timeout = TIMEOUT.usual, sslverify: verify = true } = options;
  const login = await loginOf(context, options.username, options['password-secret']);
  const proxyLogin = await loginOf(context, options['proxy-username'], options['proxy-password-secret']);
  const cookie = options.cookie ?? (await secretOf(context, cookieSecret));
  return withPrefix('CURL: Error opening file: ', async () => {
    const address = parseUrl(url);
    const settings = { address, login, verify, timeout };
    if (scheme === 'ftp' || scheme === 'ftps') return FtpFile.open(context.services, settings);
    return HttpFile.open(context.services, { ...settings, proxyLogin, cookie });
  });
}

async function open(scheme: Scheme, context: ProtocolContext, options: OpenOptions): Promise<ProtocolStorage> {
  if (context.writable) throw new BlockError('read-only', 'curl driver does not support writes');
  const { url, readahead } = options;
  checkNumbers(options);
  if (options.cookie !== undefined && options['cookie-secret'] !== undefined) {
    throw invalidArgument('curl driver cannot handle both cookie and cookie secret');
  }
  if (url === undefined) throw invalidArgument("curl block driver requires an 'url' option");
  const start = `${scheme}://`;
  if (!url.startsWith(start)) {
    throw invalidArgument(`${scheme} curl driver cannot handle the URL '${url}' (does not start with '${start}')`);
  }
  const remote = await openRemote(scheme, url, context, options);
  if (remote.size > MAX_DISK) {
    remote.close();
    throw new BlockError('too-large', 'Could not refresh total sector count: File too large');
  }
  const driver = new CurlStorage(remote, readahead, context.complain?.bind(context));
  return new CurlFile(driver, scheme, nameOf(scheme, url, context.given ?? { url }), printUrl(parseUrl(url)));
}

function protocol(scheme: Scheme): ProtocolDriver {
  return {
    name: scheme,
    prefixes: [scheme],
    openOptions,
    parseFilename: (name) => ({ url: name }),
    open: (context, options) => open(scheme, context, options),
  } satisfies ProtocolDriver<typeof openOptions>;
}

/** Files on servers of HTTP. */
export const httpDriver: ProtocolDriver = protocol('http');

/** The same over TLS. */
export const httpsDriver: ProtocolDriver = protocol('https');

/** Files on servers of FTP. */
export const ftpDriver: ProtocolDriver = protocol('ftp');

/** The same over TLS from the first byte on. */
export const ftpsDriver: ProtocolDriver = protocol('ftps');
