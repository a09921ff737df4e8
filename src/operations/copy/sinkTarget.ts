/** Images that go out as a stream: planned first where their format can be laid out without the data, else made in a spool. */
import { asBlockError, unsupported } from '../../base/error.ts';
import type { ByteSink } from '../../base/byteStream.ts';
import { throwIfStopped } from '../../base/inflight.ts';
import { alignUp, MiB, SECTOR } from '../../base/offset.ts';
import { verifyBelow } from '../../block/graph/bottom.ts';
import { openImage } from '../../block/graph/open.ts';
import type { ImageNode } from '../../block/node/node.ts';
import type { ProtocolDriver } from '../../block/protocol.ts';
import { PIPE_NAME } from '../../options/filename.ts';
import type { AnyOptionValues } from '../../options/table.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { StorageDriver } from '../../storage/storage.ts';
import type { OperationContext } from '../context.ts';
import { writeImage } from '../create.ts';
import type { NewImage } from '../options.ts';
import { LayoutStorage } from './layout.ts';
import { Pace } from './pace.ts';
import { Planner } from './plan.ts';
import { failed } from './reading.ts';
import { CopySource } from './source.ts';

/** Name of the place where the image is made. */
const PLACE = 'one-pass';
/** Bytes that go out at a time. */
const PIECE = MiB;

/** What goes out. */
export interface SinkRequest {
  readonly image: NewImage;
  /** Values of the format's options, size included. */
  readonly options: AnyOptionValues;
  /** Bytes of data in a second, where the image goes out in one pass. */
  readonly rateLimit?: number | undefined;
}

/** A context in which one name stands for a storage, which is closed in vain, and the image there. */
async function imageOn(context: OperationContext, storage: StorageDriver, request: SinkRequest): Promise<ImageNode> {
  const driver: ProtocolDriver = {
    name: PLACE,
    prefixes: [PLACE],
    openOptions: {},
    parseFilename: () => ({}),
    open: async () => new CheckedStorage(storage, { name: PIPE_NAME, readOnly: false }),
    create: async (_, __, options) => storage.truncate?.(Number(options['size'] ?? 0), 'off'),
  };
  const entry = { name: PLACE, prefixes: [PLACE], load: async () => driver };
  const inner = { ...context, drivers: context.drivers.withProtocol(entry) };
  const at = `${PLACE}:`;
  await writeImage(inner, { filename: PIPE_NAME, at }, request.image, request.options, {});
  return openImage(inner, {
    filename: at,
    format: request.image.format.name,
    calledAs: PIPE_NAME,
    writable: true,
    noBacking: true,
    cache: 'unsafe',
    discard: 'unmap',
  });
}

/** What an image that goes out cannot be. @throws BlockError that says so. */
function checkSinkRequest({ image, options }: SinkRequest): void {
  const { driver } = image.format;
  if (!driver) throw unsupported(`'${image.format.name}' is no format of an image that could go out through a pipe`);
  if (driver.spreads?.(options) || options['data_file'] !== undefined) {
    throw unsupported('An image of several files cannot go out through a pipe');
  }
}

/**
 * Lays an image out; undefined if its data have to be known for that: what is compressed, encrypted or full of space that was asked
 * for. The source is only asked where it has data.
 */
async function layOut(
  context: OperationContext,
  sources: readonly ImageNode[],
  request: SinkRequest,
): Promise<LayoutStorage | undefined> {
  const layout = new LayoutStorage();
  const node = await imageOn(context, layout, request);
  try {
    if (node.compressor?.sequential || (await node.info()).encrypted) return undefined;
    const planner = new Planner(new CopySource(sources), { chunk: layout.most, unit: 1 });
    for (let piece = await planner.next(); piece; piece = await planner.next()) {
      throwIfStopped(context.signal);
      if (piece.kind === 'data') await node.write(piece.offset, layout.dataFor(piece.offset, piece.length));
    }
    await node.flush();
  } finally {
    await node.close();
  }
  return layout;
}

/** Guest bytes of images one behind the other. */
function guestReader(sources: readonly ImageNode[]): (offset: number, into: Uint8Array) => Promise<void> {
  const starts: number[] = [];
  let end = 0;
  for (const node of sources) {
    starts.push(end);
    end += alignUp(node.size(), SECTOR);
  }
  return async (offset, into) => {
    into.fill(0);
    for (const [i, node] of sources.entries()) {
      const start = starts[i] as number;
      const from = Math.max(offset, start);
      const to = Math.min(offset + into.length, start + node.size());
      if (to <= from) continue;
      try {
        await node.read(from - start, into.subarray(from - offset, to - offset));
      } catch (error) {
        throw failed('read', error, from);
      }
    }
  };
}

/** Bytes to go out, and how to get them. */
interface Part {
  readonly length: number;
  fill(into: Uint8Array): unknown;
  /** Guest bytes count as work. */
  readonly isData: boolean;
}

function* partsOf(
  layout: LayoutStorage,
  read: (offset: number, into: Uint8Array) => Promise<void>,
): Generator<Part, void, undefined> {
  let at = 0;
  function* own(end: number): Generator<Part, void, undefined> {
    for (; at < end; at += PIECE) {
      const place = at;
      yield { length: Math.min(PIECE, end - at), isData: false, fill: (into) => layout.read(place, into) };
    }
    at = end;
  }
  for (const { place, guest, length } of layout.runs()) {
    yield* own(place);
    for (let done = 0; done < length; done += PIECE) {
      const from = guest + done;
      yield { length: Math.min(PIECE, length - done), isData: true, fill: (into) => read(from, into) };
    }
    at = place + length;
  }
  yield* own(layout.size());
}

/** Sends an image out by its layout, one piece ahead. */
async function sendLayout(
  context: OperationContext,
  sources: readonly ImageNode[],
  layout: LayoutStorage,
  sink: ByteSink,
  rateLimit: number | undefined,
): Promise<void> {
  const pace = rateLimit ? new Pace(rateLimit, context.services) : undefined;
  const total = layout.runs().reduce((sum, { length }) => sum + length, 0);
  const buffers = [new Uint8Array(new ArrayBuffer(PIECE)), new Uint8Array(new ArrayBuffer(PIECE))] as const;
  let done = 0;
  let sending: Promise<void> = Promise.resolve();
  let turn = 0;
  try {
    for (const part of partsOf(layout, guestReader(sources))) {
      throwIfStopped(context.signal);
      const bytes = (buffers[turn] as Uint8Array).subarray(0, part.length);
      turn = 1 - turn;
      await part.fill(bytes);
      if (part.isData) await pace?.take(part.length, context.signal);
      await sending;
      if (part.isData) context.onProgress?.((done += part.length), total);
      sending = Promise.resolve(sink.write(bytes));
      // Whoever waits for it is told.
      sending.catch(() => undefined);
    }
  } finally {
    await sending;
  }
}

/** Makes an image in a spool by `fill`, and sends it out from there. */
async function sendFromSpool(
  context: OperationContext,
  request: SinkRequest,
  sink: ByteSink,
  fill: (node: ImageNode) => Promise<void>,
): Promise<void> {
  const { spool } = context.services;
  if (!spool) throw unsupported('An image of that kind cannot go out in one pass, and there is no place to make it');
  context.onWarning?.(
    'An image of that kind cannot be laid out before its data are known: it is made in a temporary file',
  );
  const place = await spool.create();
  try {
    const node = await imageOn(context, { ...place, close: () => undefined }, request);
    try {
      await fill(node);
      await node.flush();
    } finally {
      await node.close();
    }
    const buffer = new Uint8Array(new ArrayBuffer(PIECE));
    const size = place.size();
    for (let at = 0; at < size; at += PIECE) {
      throwIfStopped(context.signal);
      const bytes = buffer.subarray(0, Math.min(PIECE, size - at));
      await place.read(at, bytes);
      await sink.write(bytes);
    }
  } finally {
    await place.close();
  }
}

/**
 * Has an image go out through the pipe of the services: in one pass, or made in a spool by `fill`. What is wrong with the request
 * is told before the first byte.
 * @param plain its data go out as they are read.
 */
export async function sendImage(
  context: OperationContext,
  sources: readonly ImageNode[],
  request: SinkRequest,
  plain: boolean,
  fill: (node: ImageNode) => Promise<void>,
): Promise<void> {
  checkSinkRequest(request);
  const { pipes } = context.services;
  if (!pipes) throw unsupported('There are no streams to write to here');
  const sink = pipes.output();
  try {
    const layout = plain ? await layOut(context, sources, request) : undefined;
    if (layout) await sendLayout(context, sources, layout, sink, request.rateLimit);
    else await sendFromSpool(context, request, sink, fill);
    for (const source of sources) await verifyBelow(source);
    await sink.finish();
  } catch (thrown) {
    await sink.abandon();
    const error = asBlockError(thrown);
    throw error.context.filename === PIPE_NAME && error.context.access === 'write' ? failed('write', error, 0) : error;
  }
}
