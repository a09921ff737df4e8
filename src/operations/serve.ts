/** `serve`: gives images to others. */
import { closeEach } from '../base/async.ts';
import { BlockError, invalidArgument, unsupported } from '../base/error.ts';
import { throwIfStopped } from '../base/inflight.ts';
import { bytesOf as nameBytes } from '../base/text.ts';
import { NamedNodes } from '../block/graph/namedNodes.ts';
import { creating, protocolOfName } from '../block/graph/names.ts';
import type { SocketAddress, TlsSettings } from '../block/net.ts';
import type { ImageNode } from '../block/node/node.ts';
import { temporaryOverlay } from '../block/node/overlay.ts';
import type { Export, RunningServer } from '../block/serving.ts';
import type { AnyOptionValues } from '../options/table.ts';
import type { OperationContext } from './context.ts';
import { snapshotNode } from './copy/snapshot.ts';
import type { ExportRequest, ServeRequest } from './requests.ts';
import { CACHE_MODES, imageInput, imageName, MAX_COUNT, oneOf, wholeNumber } from './shorthand.ts';
import { openSource } from './source.ts';

/** Images that are served. */
export interface ServedImages {
  /** Where the server listens: with the port that was found. */
  readonly address: SocketAddress;
  /** The names under which clients open the images, in their order. */
  readonly uris: readonly string[];
  /** Ends it: what clients have asked for is answered, everything is flushed and closed. Gives {@link ServedImages.done}. */
  close(): Promise<void>;
  /** Resolves when the server has ended and the images are closed; rejects if something was not stored. */
  readonly done: Promise<void>;
}

/** Most bytes of a name (Conventions of the NBD protocol). */
const MAX_NAME = 4096;

const DEFAULT_ADDRESS: SocketAddress = { type: 'inet', host: '127.0.0.1', port: '10809' };

/**
 * Opens images and serves them. The signal of the context ends the server as `close` does.
 * @throws BlockError why an image cannot be opened, or why nobody can listen there.
 */
export async function serve(context: OperationContext, request: ServeRequest): Promise<ServedImages> {
  const wanted = checked(request);
  const { services } = context;
  const listen = services.net?.listen?.bind(services.net);
  if (!listen) throw unsupported('There is no network here');
  const tls = await tlsOf(context, request.tlsCredentials);
  const server = await context.drivers.server();
  const opened: { close(): Promise<void> | void }[] = [];
  try {
    const exports: Export[] = [];
    const shared = { ...context, nodes: new NamedNodes() };
    for (const one of wanted) exports.push(await openExport(shared, request, one, opened));
    throwIfStopped(context.signal);
    const listener = await listen(request.address ?? DEFAULT_ADDRESS);
    const running = server.serve({
      services,
      listener,
      exports,
      tls,
      shared: request.shared ?? 256,
      persistent: request.persistent ?? false,
      handshakeLimit: request.handshakeLimit ?? 10,
      connected: (client) => request.connected?.(client),
      disconnected: (client, reason) => request.disconnected?.(client, reason),
    });
    const done = untilEnd(running, exports, opened, context.signal);
    // Whoever asks for it gets to know; nobody has to.
    done.catch(() => undefined);
    return {
      address: listener.address,
      uris: exports.map(({ name }) => server.uri(listener, name, tls !== undefined)),
      done,
      async close() {
        await running.close().catch(() => undefined);
        await done;
      },
    };
  } catch (error) {
    // What was opened last is closed first.
    await closeEach(opened.toReversed()).catch(() => undefined);
    throw error;
  }
}

/** The exports that are asked for. What needs no file is checked before any is touched. */
function checked(request: ServeRequest): readonly ExportRequest[] {
  const { image, exports, writable, temporary, snapshot, shared = 0, handshakeLimit = 0 } = request;
  if ((image === undefined) === (exports === undefined)) throw invalidArgument('Either image or exports is needed');
  const wanted = exports ?? (image === undefined ? [] : [{ image }]);
  if (wanted.length === 0) throw invalidArgument('At least one image is needed');
  const names = new Set<string>();
  for (const { image: own, name = '', description = '' } of wanted) {
    imageInput(own);
    for (const text of [name, description]) {
      if (nameBytes(text).length > MAX_NAME) throw invalidArgument(`Names have at most ${MAX_NAME} bytes`);
    }
    if (names.has(name)) throw invalidArgument(`Two exports have the name '${name}'`);
    names.add(name);
  }
  if (writable && (temporary || snapshot)) {
    throw invalidArgument(`What is ${temporary ? 'temporary' : 'a snapshot'} cannot be written`);
  }
  if (temporary && snapshot) throw invalidArgument('A snapshot cannot have temporary changes');
  oneOf('cache mode', request.cache, CACHE_MODES);
  oneOf('discard mode', request.discard, ['ignore', 'unmap']);
  wholeNumber('number of clients', shared, 0, MAX_COUNT);
  wholeNumber('handshake limit', handshakeLimit, 0, MAX_COUNT / 1000);
  return wanted;
}

/** The TLS credentials of an id. */
async function tlsOf({ services }: OperationContext, id: string | undefined): Promise<TlsSettings | undefined> {
  if (id === undefined) return undefined;
  const credentials = services.objects.get(id);
  if (!credentials) throw new BlockError('not-found', `No TLS credentials with id '${id}'`);
  if (credentials.type === 'other' || credentials.type === 'throttle-group') {
    throw invalidArgument(`Object with id '${id}' is not TLS credentials`);
  }
  if (credentials.endpoint !== 'server') throw invalidArgument('Expecting TLS credentials with a server endpoint');
  const { passwordId } = credentials;
  const passphrase = passwordId === undefined ? undefined : await services.secrets.get(passwordId);
  return { credentials, hostname: undefined, ...(passphrase ? { passphrase } : {}) };
}

/** Opens one export. @param opened gets what is to be closed, in the order of opening. */
async function openExport(
  context: OperationContext,
  request: ServeRequest,
  { image, name = '', description }: ExportRequest,
  opened: { close(): Promise<void> | void }[],
): Promise<Export> {
  const { writable = false, temporary = false, snapshot, forceShare, cache = 'writeback', discard = 'unmap' } = request;
  const below = await openSource(context, image, { writable, forceShare, cache, discard });
  opened.push(below);
  let node = below;
  if (snapshot) {
    node = await snapshotNode(below, snapshot);
    opened.push(node);
  }
  if (temporary) {
    // Closed with the image below it.
    opened.pop();
    node = await overlayOf(context, below, opened);
  }
  return {
    name,
    description,
    node,
    writable: writable || temporary,
    bitmaps: await bitmapsOf(below, imageName(image), request.bitmaps),
    allocationDepth: request.allocationDepth ?? false,
  };
}

/** An overlay in a file that has no name, or will not have it for long. */
async function overlayOf(
  context: OperationContext,
  below: ImageNode,
  opened: { close(): Promise<void> | void }[],
): Promise<ImageNode> {
  const { services } = context;
  try {
    const folder = services.temporaryFolder?.();
    const name = `${folder === undefined ? '' : `${folder}/`}qimg-overlay`;
    const protocol = await protocolOfName(context, name);
    if (!protocol.names) throw unsupported('There are no temporary files here');
    const draft = await protocol.names.draft(services, name, false);
    opened.push({ close: () => draft.discard() });
    const given = protocol.parseFilename(draft.at) as AnyOptionValues;
    await protocol.create?.(creating(context), draft.at, { size: 0 });
    const storage = await protocol.open({ ...creating(context), cache: 'unsafe' }, given);
    const node = temporaryOverlay(below, storage);
    opened.push(node);
    return node;
  } catch (error) {
    await below.close().catch(() => undefined);
    throw error;
  }
}

/** The bitmaps that clients may ask for. */
async function bitmapsOf(
  node: ImageNode,
  filename: string,
  wanted: ServeRequest['bitmaps'] = [],
): Promise<readonly string[]> {
  const known = (await node.bitmaps?.list()) ?? [];
  if (wanted === 'all') return known.filter(({ inUse }) => !inUse).map(({ name }) => name);
  for (const name of wanted) {
    const found = known.find((bitmap) => bitmap.name === name);
    if (!found) throw new BlockError('not-found', `Bitmap '${name}' is not found in '${filename}'`);
    if (found.inUse) throw invalidArgument(`Bitmap '${name}' is inconsistent and cannot be used`);
  }
  return wanted;
}

/** Resolves when everything is over: clients, images, and what was made for them. */
async function untilEnd(
  running: RunningServer,
  exports: readonly Export[],
  opened: readonly { close(): Promise<void> | void }[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const stop = (): void => void running.close().catch(() => undefined);
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  try {
    const flushes = exports.filter(({ writable }) => writable).map(({ node }) => ({ close: () => node.flush() }));
    await closeEach([{ close: () => running.done }, ...flushes, ...opened.toReversed()]);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
