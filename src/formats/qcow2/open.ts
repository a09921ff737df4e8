/** Opening a qcow2 image. */
import { invalidArgument, invalidImage, withStrerror } from '../../base/error.ts';
import type { OpenContext } from '../../block/format.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { encodeHeader } from './structure/encodeHeader.ts';
import { hasDataFile, type Header, isRawDataFile } from './structure/header.ts';
import { clusterSizeOf, HEADER_PROBE, parseHeader } from './structure/readHeader.ts';
import { Qcow2State } from './state.ts';
import { Autoclear, Compatible, KNOWN_AUTOCLEAR } from './structure/layout.ts';
import type { openOptions } from './options.ts';
import { behaviourOf } from './openSettings.ts';

/** Reads and checks the header of a file; see {@link parseHeader}. */
async function readHeader(context: OpenContext<typeof openOptions>): Promise<Header> {
  const { file } = context;
  const what = 'Could not read qcow2 header';
  const head = await withStrerror(what, () => readAt(file, 0, HEADER_PROBE));
  const clusterSize = clusterSizeOf(head);
  const cluster = await withStrerror(what, () => readAt(file, 0, clusterSize));
  return parseHeader(cluster, { forCheck: context.intent === 'check', forChange: !context.readOnly });
}

/** Opens an image: header, external data file, feature bits. Tables are read when they are needed. */
export async function openQcow2(context: OpenContext<typeof openOptions>): Promise<Qcow2State> {
  const header = await readHeader(context);
  const storedHeaderLength = context.readOnly ? 0 : storedLength(header);
  const hadBitmaps = header.bitmaps !== undefined;
  checkFeatures(header, context);
  const behaviour = behaviourOf(context.options, header);
  const data = await openDataFile(header, context);
  if (header.cryptMethod === 2 && !header.crypto) {
    throw invalidImage('Missing CRYPTO header for crypt method 2');
  }
  const image = new Qcow2State({
    file: context.file,
    data: data ?? context.file,
    header,
    storedHeaderLength,
    filename: context.filename,
    readOnly: context.readOnly,
    intent: context.intent,
    services: context.services,
    behaviour,
    warn: (text) => context.warn(text),
    notice: (text) => context.notice?.(text),
    complain: (text, closing) => context.complain?.(text, closing),
  });
  image.bitmapsForgotten = hadBitmaps && !header.bitmaps;
  image.lazyRefcounts =
    context.options['lazy-refcounts'] ?? (header.compatible & BigInt(Compatible.lazyRefcounts)) !== 0n;
  image.discardFreed = context.options['pass-discard-snapshot'] !== false;
  // Where somebody looks, tables are loaded when the real tool loads them.
  if (context.file.debugEvent) {
    await withStrerror('Could not initialize refcount handling', () => image.refcounts.table());
    await withStrerror('Could not read L1 table', () => image.l1.view());
  }
  return image;
}

/** Bytes that the stored header takes, so that a shorter one leaves nothing of it behind. */
function storedLength(header: Header): number {
  try {
    return encodeHeader(header).length;
  } catch {
    return 2 ** header.clusterBits;
  }
}

function checkFeatures(header: Header, context: OpenContext<typeof openOptions>): void {
  if (header.bitmaps && (header.autoclear & BigInt(Autoclear.bitmaps)) === 0n) {
    const reason =
      header.version >= 3
        ? 'a program lacking bitmap support modified this file, so all bitmaps are now considered inconsistent'
        : 'This qcow2 v2 image contains bitmaps, but they may have been modified by a program without persistent ' +
          'bitmap support; so now they must all be considered inconsistent';
    context.warn(reason, { about: 'leaked-clusters' });
    delete header.bitmaps;
  }
}

async function openDataFile(header: Header, context: OpenContext<typeof openOptions>): Promise<Storage | undefined> {
  if (context.intent === 'info') {
    context.leaveChild('data-file');
    return undefined;
  }
  const external = hasDataFile(header);
  const data = await context.openChild('data-file', external ? header.dataFileName : undefined, {
    writable: !context.readOnly,
    optional: true,
    dataOnly: true,
    asGiven: true,
  });
  if (!external) {
    if (data) {
      throw invalidArgument("'data-file' can only be set for images with an external data file");
    }
    if (isRawDataFile(header)) throw invalidImage('data-file-raw requires a data file');
    return undefined;
  }
  if (!data) throw invalidArgument("'data-file' is required for this image");
  return data;
}

/**
 * Prepares an image for changes: autoclear features that nothing here keeps up to date are dropped.
 * Bitmaps are kept only if something listens to the changes.
 */
export async function prepareForWriting(image: Qcow2State): Promise<void> {
  const { header } = image;
  let kept = header.autoclear & BigInt(KNOWN_AUTOCLEAR);
  if (header.bitmaps && image.changeListeners.length === 0) kept &= ~BigInt(Autoclear.bitmaps);
  if (header.autoclear === kept && !image.bitmapsForgotten) return;
  await image.changeHeader((changed) => {
    changed.autoclear = kept;
  });
}
