/** The toy format: registration, opening, creating, measuring. */
import { invalidArgument } from '../../../src/base/error.ts';
import { divideUp, isPowerOfTwo } from '../../../src/base/offset.ts';
import type {
  CreateContext,
  FormatDriver,
  MeasureContext,
  Measurement,
  OpenContext,
} from '../../../src/block/format.ts';
import type { OptionTable, OptionValues } from '../../../src/options/table.ts';
import { ToyImage } from './image.ts';
import { checkSize, DATA_START, encodeHeader, HEADER_SIZE, MAX_CLUSTERS, parseHeader } from './header.ts';

const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk' },
  backing_file: { kind: 'string', help: 'Name of the backing image' },
  backing_fmt: { kind: 'string', help: 'Format of the backing image' },
  cluster_size: { kind: 'size', help: 'Bytes in a cluster, a power of two', default: 4096 },
} as const satisfies OptionTable;

type CreateOptions = OptionValues<typeof createOptions>;

async function open({ file }: OpenContext): Promise<ToyImage> {
  const head = new Uint8Array(HEADER_SIZE);
  await file.readPadded(0, head);
  const bytes = new Uint8Array(MAX_CLUSTERS * 4);
  await file.readPadded(HEADER_SIZE, bytes);
  const view = new DataView(bytes.buffer);
  return new ToyImage(
    file,
    parseHeader(head),
    Uint32Array.from({ length: MAX_CLUSTERS }, (_, i) => view.getUint32(i * 4, true)),
  );
}

async function create({ file }: CreateContext, options: CreateOptions): Promise<void> {
  const { size: virtualSize = 0, cluster_size: clusterSize, backing_file: name, backing_fmt: format } = options;
  if (!isPowerOfTwo(clusterSize) || clusterSize < 512)
    throw invalidArgument('The cluster size of a toy is a power of two');
  checkSize(virtualSize, clusterSize);
  const backing = name === undefined ? undefined : { file: name, ...(format === undefined ? {} : { format }) };
  // The header comes last: without it nothing here is an image.
  await file.writeZeroes(HEADER_SIZE, MAX_CLUSTERS * 4);
  await file.write(0, encodeHeader({ clusterSize, virtualSize, backing }));
}

async function measure(context: MeasureContext, options: CreateOptions): Promise<Measurement> {
  const { virtualSize } = context;
  const { cluster_size: clusterSize } = options;
  const used = new Set<number>();
  for await (const { offset, length } of context.dataRuns()) {
    const end = divideUp(offset + length, clusterSize);
    for (let cluster = Math.floor(offset / clusterSize); cluster < end; cluster++) used.add(cluster);
  }
  return {
    required: DATA_START + used.size * clusterSize,
    fullyAllocated: DATA_START + divideUp(virtualSize, clusterSize) * clusterSize,
  };
}

/** The format. */
export const toy: FormatDriver = {
  name: 'toy',
  openOptions: {},
  createOptions,
  open,
  create,
  measure,
} satisfies FormatDriver<OptionTable, typeof createOptions>;
