/** New QED images. */
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { CreateContext } from '../../block/driver.ts';
import type { AnyOptionValues } from '../../options/table.ts';
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

/** Clusters of a table unless an option says otherwise. */
const DEFAULT_TABLE = 4;

function refuse(message: string): BlockError {
  return new BlockError('invalid-argument', message);
}

/** Writes an empty image into `context.file`. */
export async function create(context: CreateContext, options: AnyOptionValues): Promise<void> {
  const clusterSize = Number(options['cluster_size']);
  const tableClusters = Number(options['table_size'] ?? DEFAULT_TABLE);
  const virtualSize = alignUp(Number(options['size'] ?? 0), SECTOR);
  if (!isClusterSize(clusterSize))
    throw refuse(`QED cluster size must be within range ${CLUSTER_RANGE} and power of 2`);
  if (!isTableSize(tableClusters)) throw refuse(`QED table size must be within range ${TABLE_RANGE} and power of 2`);
  if (!isVirtualSize(virtualSize, clusterSize, tableClusters)) {
    const limit = maxVirtualSize(clusterSize, tableClusters);
    throw refuse(`QED image size must be a non-zero multiple of cluster size and less than ${limit} bytes`);
  }
  const backing = backingOf(options);
  const name = utf8Bytes(backing?.file ?? '');
  if (name.length > Math.min(MAX_BACKING_NAME, clusterSize - HEADER_SIZE)) throw refuse('Backing file name too long');
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
  const { file } = context;
  // The L1 table is all zero: a hole will do.
  await file.writeZeroes(0, clusterSize * (1 + tableClusters));
  if (name.length > 0) await file.write(HEADER_SIZE, name);
  await file.write(0, encodeHeader(header));
}

function backingOf(options: AnyOptionValues): { file: string; format?: string } | undefined {
  const { backing_file: file, backing_fmt: format } = options;
  if (typeof file !== 'string') return undefined;
  return typeof format === 'string' ? { file, format } : { file };
}
