/** The `nbd` protocol: exports of servers, on this machine and others. */
import { BlockError, invalidArgument, unsupported, withPrefix } from '../../base/error.ts';
import { alignUp, MAX_DISK, SECTOR } from '../../base/offset.ts';
import type { TlsSettings } from '../../block/net.ts';
import type { ProtocolContext, ProtocolDriver } from '../../block/protocol.ts';
import { flatten } from '../../options/dotted.ts';
import { printJsonName } from '../../options/jsonName.ts';
import { flattenInOrder } from '../../options/order.ts';
import type { AnyOptionValues, OptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { Preallocation } from '../../storage/storage.ts';
import { addressOf, parseName, printName, serverOptions, URI_SCHEMES } from './address.ts';
import { Client } from './client.ts';
import { Context, Flag } from './numbers.ts';
import { createOptions, type OpenOptions, openOptions } from './options.ts';
import { NbdExport, NbdStorage } from './storage.ts';

/** The TLS settings in options; undefined: not encrypted. */
async function tlsOf(
  { services }: ProtocolContext,
  options: OpenOptions,
  host: string | undefined,
): Promise<TlsSettings | undefined> {
  const { 'tls-creds': id, 'tls-hostname': named } = options;
  if (id === undefined) return undefined;
  const credentials = services.objects.get(id);
  if (!credentials) throw new BlockError('not-found', `No TLS credentials with id '${id}'`);
  if (credentials.type === 'other' || credentials.type === 'throttle-group') {
    throw invalidArgument(`Object with id '${id}' is not TLS credentials`);
  }
  if (credentials.endpoint === 'server') throw invalidArgument('Expected TLS credentials for a client endpoint');
  const { passwordId } = credentials;
  const passphrase = passwordId === undefined ? undefined : await services.secrets.get(passwordId);
  return { credentials, hostname: named ?? host, ...(passphrase ? { passphrase } : {}) };
}

/** Names of options that say which export it is, and how it is reached. */
const STRONG = /^(path|host|port|export|tls-creds|tls-hostname|server\..*)$/;

/** The name under which the same export can be opened again. */
function nameOf(server: Readonly<Record<string, string>>, given: OptionTree, exportName: string | undefined): string {
  const name = printName(server, exportName);
  if (name !== undefined) return name;
  const strong = flattenInOrder(given).filter(([key]) => STRONG.test(key));
  return printJsonName({ ...Object.fromEntries(strong), driver: 'nbd' });
}

async function open(context: ProtocolContext, options: OpenOptions): Promise<NbdExport> {
  const given: OptionTree = context.given ?? (options as OptionTree);
  const server = serverOptions(given);
  const address = addressOf(server);
  const { export: exportName, 'x-dirty-bitmap': bitmap } = options;
  const tls = await tlsOf(context, options, address.type === 'inet' ? address.host : undefined);
  const client = await Client.open(context.services, {
    address,
    wanted: { name: exportName ?? '', tls, context: bitmap ?? Context.allocation },
    openTimeout: Math.max(0, options['open-timeout'] ?? 0),
    reconnectDelay: Math.max(0, options['reconnect-delay'] ?? 0),
  });
  try {
    check(client, context.writable || context.insists === true, bitmap !== undefined);
  } catch (error) {
    client.close();
    throw error;
  }
  const driver = new NbdStorage(client, context);
  const frozen = (client.export.flags & Flag.readOnly) !== 0;
  return new NbdExport(driver, { name: nameOf(server, given, exportName), readOnly: !context.writable }, frozen);
}

/** Whether the export is what it was asked for. */
function check({ export: { size, flags, context } }: Client, writable: boolean, needsContext: boolean): void {
  if (needsContext && context === undefined) {
    throw new BlockError('invalid-argument', 'Could not open image: Invalid argument');
  }
  if (writable && (flags & Flag.readOnly) !== 0) {
    throw new BlockError('permission-denied', 'Could not open image: Permission denied');
  }
  if (size > MAX_DISK) throw new BlockError('too-large', 'Could not refresh total sector count: File too large');
}

/** Exports are not made: one has to be there that is large enough. Its beginning is emptied, so that nothing is found in it. */
async function create(
  context: ProtocolContext,
  name: string,
  options: OptionValues<typeof createOptions>,
): Promise<void> {
  const preallocation = preallocationOf(options.preallocation);
  if (preallocation !== 'off') throw unsupported(`Unsupported preallocation mode '${preallocation}'`);
  const storage = await withPrefix(
    "Protocol driver 'nbd' does not support creating new images, so an existing image must be selected as the target; " +
      'however, opening the given target as an existing image failed: ',
    async () => {
      const tree = parseName(name);
      return open({ ...context, given: tree }, Object.fromEntries(flatten(tree)) as AnyOptionValues);
    },
  );
  try {
    await storage.truncate(alignUp(options.size ?? 0, SECTOR));
    const head = Math.min(SECTOR, storage.size());
    if (head > 0) await storage.writeZeroes(0, head, { unmap: true });
    await storage.flush();
  } finally {
    await storage.close();
  }
}

function preallocationOf(word: string | undefined): Preallocation {
  switch (word ?? 'off') {
    case 'off':
    case 'metadata':
    case 'falloc':
    case 'full':
      return (word ?? 'off') as Preallocation;
    default:
      throw invalidArgument(`invalid parameter value: ${word}`);
  }
}

/** The protocol. */
export const nbdDriver: ProtocolDriver = {
  name: 'nbd',
  prefixes: URI_SCHEMES,
  openOptions,
  createOptions,
  parseFilename: parseName,
  named: /^(path|host|port|export|server\..*)$/,
  open,
  create,
} satisfies ProtocolDriver<typeof openOptions, typeof createOptions>;
