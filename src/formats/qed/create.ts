/** New QED images. */
import { utf8Bytes } from '../../base/bytes.ts';
import { invalidArgument, withStrerror } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { CreateContext } from '../../block/format.ts';
import type { ProtocolStorage } from '../../block/protocol.ts';
import type { OptionValues } from '../../options/table.ts';
import {
  backingFields,
  CLUSTER_RANGE,
  encodeHeader,
  HEADER_SIZE,
  type Header,
  isClusterSize,
  isTableSize,
  isVirtualSize,
  MAX_BACKING_NAME,
  maxVirtualSize,
  TABLE_RANGE,
} from './header.ts';

/** Options of `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk' },
  backing_file: { kind: 'string', help: 'Name of the backing image' },
  backing_fmt: { kind: 'string', help: 'Format of the backing image' },
  cluster_size: { kind: 'size', help: 'Bytes in a cluster, a power of two from 4k to 64M', default: 65536 },
  table_size: { kind: 'size', help: 'Clusters in each L1 and L2 table, a power of two up to 16' },
} as const;

/** Values of {@link createOptions}. */
type CreateOptions = OptionValues<typeof createOptions>;

/** Clusters of a table unless an option says otherwise. */
const DEFAULT_TABLE = 4;

/** Writes an empty image into `context.file`. */
export async function create(context: CreateContext, options: CreateOptions): Promise<void> {
  const clusterSize = options.cluster_size;
  const tableClusters = options.table_size ?? DEFAULT_TABLE;
  const virtualSize = alignUp(options.size ?? 0, SECTOR);
  if (!isClusterSize(clusterSize))
    throw invalidArgument(`QED cluster size must be within range ${CLUSTER_RANGE} and power of 2`);
  if (!isTableSize(tableClusters))
    throw invalidArgument(`QED table size must be within range ${TABLE_RANGE} and power of 2`);
  if (!isVirtualSize(virtualSize, clusterSize, tableClusters)) {
    const limit = maxVirtualSize(clusterSize, tableClusters);
    throw invalidArgument(`QED image size must be a non-zero multiple of cluster size and less than ${limit} bytes`);
  }
  const backing = backingOf(options);
  const name = utf8Bytes(backing?.file ?? '');
  if (name.length > Math.min(MAX_BACKING_NAME, clusterSize - HEADER_SIZE))
    throw invalidArgument('Backing file name too long');
  const header: Header = {
    clusterSize,
    tableClusters,
    headerClusters: 1,
    compatible: 0n,
    autoclear: 0n,
    l1Offset: clusterSize,
    virtualSize,
    ...(backing ? backingFields(backing) : { features: 0, backingOffset: 0, backingLength: 0 }),
  };
  const file: ProtocolStorage = context.file;
  // The real tool empties it first.
  if (file.fixed && file.size() > 0) throw file.fixed();
  // The L1 table is all zero: a hole will do.
  await withStrerror('Could not create image', async () => {
    await file.writeZeroes(0, clusterSize * (1 + tableClusters));
    if (name.length > 0) await file.write(HEADER_SIZE, name);
    await file.write(0, encodeHeader(header));
  });
}

function backingOf(options: CreateOptions): { file: string; format?: string } | undefined {
  const { backing_file: file, backing_fmt: format } = options;
  if (file === undefined) return undefined;
  return format === undefined ? { file } : { file, format };
}
