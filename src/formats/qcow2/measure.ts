/** How large a new qcow2 image will be. */
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidArgument } from '../../base/error.ts';
import { alignUp, divideUp } from '../../base/offset.ts';
import type { MeasureContext, Measurement } from '../../block/format.ts';
import { measureEncryption } from './guest/crypt.ts';
import { MAX_L1_BYTES } from './structure/layout.ts';
import { checkClusterSize, checkRefcountBits, l1EntriesOf } from './settings.ts';
import type { CreateOptions } from './options.ts';

/** File sizes of a new image in bytes. */
export async function measure(context: MeasureContext, options: CreateOptions): Promise<Measurement> {
  const {
    cluster_size: clusterSize,
    extended_l2: extended,
    refcount_bits: refcountBits,
    compat,
    preallocation,
  } = options;
  checkClusterSize(clusterSize, extended);
  // Unlike `create`, the real tool does not know the other names of the versions here.
  if (compat !== undefined && compat !== '0.10' && compat !== '1.1') {
    throw invalidArgument(`Invalid compatibility level: '${compat}'`);
  }
  checkRefcountBits(refcountBits);
  if (refcountBits !== 16 && compat === '0.10') {
    throw invalidArgument(
      'Different refcount widths than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)',
    );
  }
  checkPreallocation(preallocation);
  const size = alignUp(context.virtualSize, clusterSize);
  // What an existing image needs is told even where no such image can be made, as the real tool does.
  if (!context.source && l1EntriesOf(size, clusterSize, extended) * 8 > MAX_L1_BYTES) {
    throw new BlockError('too-large', 'The image size is too large (try using a larger cluster size)');
  }
  // Over a backing file, zeroes of the source are stored too.
  const overBacking = context.source !== undefined && options.backing_file !== undefined;
  const whole = preallocation === 'full' || preallocation === 'falloc' || overBacking;
  const data = whole ? size : await dataBytes(context, clusterSize);
  const encryption = await measureEncryption(context.services, options, clusterSize);
  const metadata = encryption + metadataBytes(size, clusterSize, refcountBits, extended);
  const bitmaps = compat === '0.10' ? undefined : await bitmapBytes(context, clusterSize);
  return {
    required: metadata + data,
    fullyAllocated: metadata + size,
    ...(bitmaps === undefined ? {} : { bitmaps }),
  };
}

function checkPreallocation(mode: string | undefined): void {
  if (mode === undefined || ['off', 'metadata', 'falloc', 'full'].includes(mode)) return;
  throw invalidArgument(`invalid parameter value: ${mode}`);
}

/** Bytes in clusters that hold some of the source's data. */
async function dataBytes(context: MeasureContext, clusterSize: number): Promise<number> {
  if (!context.source) return 0;
  let total = 0;
  let counted = 0;
  for await (const { offset, length } of context.dataRuns()) {
    const end = alignUp(offset + length, clusterSize);
    const start = Math.max(counted, offset - (offset % clusterSize));
    if (end > start) total += end - start;
    counted = Math.max(counted, end);
  }
  return total;
}

/** Bytes of all tables of an image whose guest clusters are all allocated; what `create` preallocates. */
function metadataBytes(size: number, clusterSize: number, refcountBits: number, extended: boolean): number {
  const entrySize = extended ? 16 : 8;
  const l2Tables = divideUp(size * (entrySize / clusterSize), clusterSize);
  const l1Bytes = alignUp(alignUp(l2Tables, clusterSize / 8) * 8, clusterSize);
  const withoutRefcounts = clusterSize + l1Bytes + l2Tables * clusterSize;
  return withoutRefcounts + refcountBytes(divideUp(withoutRefcounts + size, clusterSize), clusterSize, refcountBits);
}

/** Bytes of the refcount structures for so many clusters and for themselves. */
function refcountBytes(clusters: number, clusterSize: number, refcountBits: number): number {
  const perBlock = (clusterSize * 8) / refcountBits;
  let blocks = 0;
  let table = 0;
  for (;;) {
    const total = clusters + blocks + table;
    const blocksNow = divideUp(total, perBlock);
    const tableNow = divideUp(blocksNow * 8, clusterSize);
    if (blocksNow === blocks && tableNow === table) return (blocks + table) * clusterSize;
    blocks = blocksNow;
    table = tableNow;
  }
}

/** Bytes that copies of the source's persistent bitmaps take; undefined if there are none to copy from. */
async function bitmapBytes(context: MeasureContext, clusterSize: number): Promise<number | undefined> {
  const store = context.source?.bitmaps;
  if (!store) return context.source?.quirks?.ignoresBitmaps === true ? 0 : undefined;
  let total = 0;
  let directory = 0;
  for (const bitmap of await store.list()) {
    const bits = divideUp(context.virtualSize, bitmap.granularity);
    const clusters = divideUp(divideUp(bits, 8), clusterSize);
    total += clusters * clusterSize + alignUp(clusters * 8, clusterSize);
    directory += alignUp(24 + utf8Bytes(bitmap.name).length, 8);
  }
  return total + alignUp(directory, clusterSize);
}
