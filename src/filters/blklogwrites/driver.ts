/**
 * `blklogwrites`: every write goes into a log as well, in the format of the kernel's device mapper (dm-log-writes), whose
 * tools can replay it.
 */
import { invalidArgument } from '../../base/error.ts';
import { isPowerOfTwo, MiB, SECTOR } from '../../base/offset.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { filterValues } from '../../block/graph/openOptions.ts';
import type { OptionTable } from '../../options/table.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { Limits, Storage, ZeroFlags } from '../../storage/storage.ts';
import { WriteLog } from './log.ts';

const openOptions = {
  'log-append': { kind: 'bool', help: 'Whether the log goes on where it ended', default: false },
  'log-sector-size': { kind: 'size', help: 'Bytes of a sector of the log (default: 512)' },
  'log-super-update-interval': { kind: 'number', help: 'Entries after which the head is written', default: 4096 },
} as const satisfies OptionTable;

/** Sectors of a log are smaller than this. */
const LARGEST_SECTOR = 16 * MiB;

/** Writes, and keeps a record of it. */
class LoggedStorage extends PassingStorage {
  readonly #log: WriteLog;

  constructor(below: Storage, log: WriteLog) {
    super(below);
    this.#log = log;
  }

  override get limits(): Limits {
    return { ...super.limits, requestAlignment: this.#log.sector };
  }

  override async write(offset: number, from: Uint8Array): Promise<void> {
    await super.write(offset, from);
    await this.#log.data(offset, from);
  }

  override async writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    await super.writeZeroes(offset, length, flags);
    await this.#log.zeroes(offset, length);
  }

  override async discard(offset: number, length: number): Promise<void> {
    await super.discard(offset, length);
    await this.#log.discarded(offset, length);
  }

  override async flush(): Promise<void> {
    await super.flush();
    await this.#log.flushed();
  }
}

async function open({ below, children, options }: FilterContext): Promise<PassingStorage> {
  const values = filterValues('blklogwrites', openOptions, options);
  const { 'log-append': append, 'log-sector-size': given, 'log-super-update-interval': interval } = values;
  if (append && given !== undefined) {
    throw invalidArgument('log-append and log-sector-size are mutually exclusive');
  }
  const storage = children.find(({ role }) => role === 'log')?.node ?? below;
  const sector = given ?? SECTOR;
  const resumed = append ? await WriteLog.resumed(storage, interval, isSectorSize) : undefined;
  const log = resumed ?? new WriteLog(storage, sector, interval);
  if (!isSectorSize(log.sector)) throw invalidArgument(`Invalid log sector size ${log.sector}`);
  if (interval < 1) throw invalidArgument(`Invalid log superblock update interval ${interval}`);
  return new LoggedStorage(below, log);
}

function isSectorSize(size: number): boolean {
  return size >= SECTOR && size < LARGEST_SECTOR && isPowerOfTwo(size);
}

/** The filter. */
export const blklogwrites: FilterDriver = {
  name: 'blklogwrites',
  roles: [{ role: 'file' }, { role: 'log' }],
  weak: /^log-super-update-interval$/,
  open,
};
