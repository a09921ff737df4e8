/** New qcow2 images, laid out as the real tool lays them out. */
import { asBlockError, BlockError, withPrefix } from '../../base/error.ts';
import { utf8Bytes } from '../../base/bytes.ts';
import { alignUp, divideUp } from '../../base/offset.ts';
import type { CreateContext } from '../../block/format.ts';
import type { Storage } from '../../storage/storage.ts';
import { encryptNew, newEncryption, prepareEncryption } from './guest/crypt.ts';
import { encodeHeader } from './structure/encodeHeader.ts';
import type { Header } from './structure/header.ts';
import { closeImage } from './flush.ts';
import { setEntry } from './structure/geometry.ts';
import { Qcow2State } from './state.ts';
import { MAX_BACKING_NAME } from './structure/layout.ts';
import { preallocate } from './change/preallocation.ts';
import { setRefcount } from './structure/refcountEntry.ts';
import { checkKeptData, headerOf, l1EntriesOf, type Settings, settingsOf, versionOf } from './settings.ts';
import type { CreateOptions } from './options.ts';

/** Writes an empty image into `context.file`. */
export async function create(context: CreateContext, options: CreateOptions): Promise<void> {
  // The order of the checks is that of the real tool's messages.
  versionOf(options);
  const encryption = newEncryption(options);
  const settings = settingsOf(options);
  const passphrase = encryption && (await prepareEncryption(context.services, encryption, options));
  const data = await createDataFile(context, settings);
  try {
    const image = await writeEmpty(context, settings, data);
    if (settings.preallocation !== 'off' || settings.rawData) await fill(image, settings);
    if (encryption && passphrase) await encryptNew(image, encryption, passphrase, options);
    await context.file.flush();
  } finally {
    await data?.close();
  }
}

async function createDataFile(context: CreateContext, settings: Settings): Promise<Storage | undefined> {
  if (settings.dataFile === undefined) return undefined;
  if (!settings.keepData) return context.createChild(settings.dataFile, settings.size, { asGiven: true });
  const data = await context.createChild(settings.dataFile, settings.size, { asGiven: true, existing: true });
  checkKeptData(settings);
  if (data.size() < settings.size) await data.truncate(settings.size);
  return data;
}

/**
 * Refcount table (cluster 1), one refcount block (cluster 2), and an empty L1 table where allocation puts it. The header
 * comes last, so that an unfinished image is not taken for an image.
 */
async function writeEmpty(context: CreateContext, settings: Settings, data: Storage | undefined): Promise<Qcow2State> {
  const { file } = context;
  const { clusterSize, refcountBits } = settings;
  const header = headerOf(settings);
  // The name without a protocol in front, which names inside images cannot have.
  if (data) header.dataFileName = data.name;
  checkBackingName(settings, header);
  await file.truncate(0);
  await writeFirstRefcounts(file, clusterSize, refcountBits);
  const image = new Qcow2State({
    file,
    data: data ?? file,
    header,
    storedHeaderLength: 0,
    filename: context.filename,
    readOnly: false,
    intent: 'io',
    services: context.services,
    warn: (text) => context.warn(text),
  });
  const entries = l1EntriesOf(settings.size, clusterSize, settings.extended);
  if (entries > 0) {
    const offset = await image.allocator.allocate(divideUp(entries * 8, clusterSize));
    header.l1Offset = offset;
    header.l1Entries = entries;
    image.l1.replace(offset, entries, new Uint8Array(entries * 8));
    // The table ends where its last entry does; it is all zero. A device still has what was there before.
    if (file.size() > offset) await file.writeZeroes(offset, Math.min(entries * 8, file.size() - offset), {});
    if (file.size() < offset + entries * 8) await file.truncate(offset + entries * 8);
    await image.refcounts.flush();
  }
  await file.flush();
  await image.writeHeader();
  // Room for a large L1 table may have needed a larger refcount table: the first one is free now.
  await image.allocator.flush();
  return image;
}

async function writeFirstRefcounts(file: Storage, clusterSize: number, bits: number): Promise<void> {
  // The header's cluster is stored as a whole: a hole there would count as a sign of preallocated metadata.
  await withPrefix('Could not write qcow2 header: ', () => file.write(0, new Uint8Array(clusterSize)));
  const bytes = new Uint8Array(clusterSize * 2);
  setEntry(new DataView(bytes.buffer), 0, clusterSize * 2, false);
  const block = new DataView(bytes.buffer, clusterSize);
  for (let cluster = 0; cluster < 3; cluster++) setRefcount(block, bits, cluster, 1);
  await withPrefix('Could not write refcount table: ', () => file.write(clusterSize, bytes));
}

function checkBackingName(settings: Settings, header: Header): void {
  const name = settings.backingFile;
  if (name === undefined) return;
  const failure = (text: string, kind: 'invalid-argument' | 'no-space'): BlockError =>
    new BlockError(
      kind,
      `Could not assign backing file '${name}' with format '${settings.backingFormat ?? 'raw'}': ${text}`,
    );
  if (utf8Bytes(name).length > MAX_BACKING_NAME) throw failure('Invalid argument', 'invalid-argument');
  try {
    encodeHeader(header);
  } catch (error) {
    throw failure(asBlockError(error).strerror, 'no-space');
  }
}

/** Preallocation of a new image. */
async function fill(image: Qcow2State, settings: Settings): Promise<void> {
  const mode = settings.preallocation === 'off' ? 'metadata' : settings.preallocation;
  await withPrefix('Could not resize image: ', () => preallocate(image, 0, settings.size, mode));
  await closeImage(image);
  const size = image.file.size();
  if (size % settings.clusterSize !== 0) await image.file.truncate(alignUp(size, settings.clusterSize));
}
