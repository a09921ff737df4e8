/**
 * `stdio`: what comes in through a pipe, as something that can be read in any order. It is read to its end when it is opened, and
 * kept in memory as long as it is short, else in a spool. A file that comes in is read as a file. What is compressed is decoded.
 */
import { type ByteStream, PeekableStream } from '../../base/byteStream.ts';
import { BlockError, unsupported } from '../../base/error.ts';
import type { MaybePromise } from '../../base/async.ts';
import { alignUp, MiB, SECTOR } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import { expandPiped } from '../../block/graph/piped.ts';
import type { ProtocolContext, ProtocolDriver } from '../../block/protocol.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { SpoolStorage } from '../../storage/forward.ts';
import { MemoryDriver } from '../../storage/memory.ts';
import type { StorageDriver } from '../../storage/storage.ts';

const openOptions = {
  expand: { kind: 'bool', help: 'Whether compressed input is decoded', default: true },
} as const satisfies OptionTable;

/** Bytes that are kept in memory. */
const IN_MEMORY = 16 * MiB;
const PIECE = MiB;
/** Runs of zeroes of this length are not stored. */
const HOLE = 65536;

/** Everything that a stream gives, which is closed then. */
async function keep(stream: ByteStream, context: ProtocolContext): Promise<StorageDriver> {
  const memory = new MemoryDriver();
  let spool: SpoolStorage | undefined;
  let size = 0;
  const put = async (offset: number, bytes: Uint8Array): Promise<void> => {
    for (let at = 0; at < bytes.length; at += HOLE) {
      const part = bytes.subarray(at, at + HOLE);
      if (isZero(part)) continue;
      if (spool) await spool.write(offset + at, part);
      else memory.write(offset + at, part);
    }
  };
  const buffer = new Uint8Array(new ArrayBuffer(PIECE));
  try {
    for (let count = await stream.read(buffer); count > 0; count = await stream.read(buffer)) {
      if (!spool && memory.allocatedSize() + count > IN_MEMORY) {
        spool = await beginSpool(context);
        const kept = new Uint8Array(PIECE);
        for (let at = 0; at < size; at += PIECE) {
          const part = kept.subarray(0, Math.min(PIECE, size - at));
          memory.read(at, part);
          await put(at, part);
        }
        memory.truncate(0, 'off');
      }
      await put(size, buffer.subarray(0, count));
      size += count;
    }
  } catch (error) {
    await spool?.close();
    throw error;
  } finally {
    await stream.close();
  }
  if (spool) return { ...spool, limits: { requestAlignment: 1 }, size: () => size };
  memory.truncate(size, 'off');
  return memory;
}

async function beginSpool(context: ProtocolContext): Promise<SpoolStorage> {
  const { spool } = context.services;
  if (!spool) throw unsupported('What comes in does not fit into memory');
  context.warn?.("'-' is read out of order: it is kept in a temporary file");
  return spool.create();
}

/**
 * What has come in. Tables and data that it does not have are an error: a stream that ends early is not told from a whole one
 * otherwise, and reads as zeroes.
 */
class PipedStorage extends CheckedStorage {
  override readPadded(offset: number, into: Uint8Array): MaybePromise<void> {
    const size = this.size();
    if (offset > 0 && offset + into.length > alignUp(size, SECTOR)) {
      const message = `The input ended after ${size} bytes, before the image was complete`;
      throw new BlockError('io', message, { posix: { code: 'EIO', text: message } });
    }
    return super.readPadded(offset, into);
  }
}

async function open(context: ProtocolContext, options: OptionValues<typeof openOptions>): Promise<CheckedStorage> {
  const { services } = context;
  if (context.writable) throw new BlockError('read-only', 'What comes in through a pipe can only be read');
  const pipes = services.pipes;
  if (!pipes) throw unsupported('There are no streams to read from here');
  const file = pipes.inputFile();
  const driver =
    file === undefined
      ? await keep(await expandPiped(services, new PeekableStream(pipes.input(), 65536), options.expand), context)
      : await services.files.open(file, { writable: false });
  return new (file === undefined ? PipedStorage : CheckedStorage)(driver, { name: '-', readOnly: true });
}

/** The driver. */
export const stdioDriver: ProtocolDriver = {
  name: 'stdio',
  prefixes: [],
  openOptions,
  parseFilename: () => ({}),
  open: (context, options) => open(context, options as OptionValues<typeof openOptions>),
};
