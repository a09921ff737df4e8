/** The null protocols: storages that take everything and hold nothing, for measurements and tests. */
import type { MaybePromise } from '../../base/async.ts';
import { BlockError, invalidArgument } from '../../base/error.ts';
import { parseSize } from '../../base/size.ts';
import { alignUp, GiB, MAX_DISK, SECTOR } from '../../base/offset.ts';
import type { ProtocolDriver } from '../../block/protocol.ts';
import type { Services } from '../../block/services.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import { printJsonName } from '../../options/jsonName.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Extent, Limits, StorageDriver } from '../../storage/storage.ts';

const openOptions = {
  size: { kind: 'size', help: 'Size of the storage (default: 1 GiB)' },
  'latency-ns': { kind: 'number', help: 'Time that every request takes, in nanoseconds' },
  'read-zeroes': { kind: 'bool', help: 'Whether reading is promised to yield zeroes' },
} as const satisfies OptionTable;

/** Values of {@link openOptions}. */
type OpenOptions = OptionValues<typeof openOptions>;

/** A storage of `size` bytes that reads as zeroes and forgets what is written. */
class NullDriver implements StorageDriver {
  readonly limits: Limits = {
    requestAlignment: 1,
    minMemoryAlignment: 512,
    optimalMemoryAlignment: 4096,
    maxIov: 1024,
  };
  readonly #services: Pick<Services, 'wait'>;
  readonly #size: number;
  readonly #latency: number;
  readonly #zeroes: boolean;

  /**
   * @param latency milliseconds per request.
   * @param zeroes reading is promised to yield zeroes.
   */
  constructor(services: Pick<Services, 'wait'>, size: number, latency: number, zeroes: boolean) {
    this.#services = services;
    this.#size = size;
    this.#latency = latency;
    this.#zeroes = zeroes;
  }

  size(): number {
    return this.#size;
  }

  read(_offset: number, into: Uint8Array): MaybePromise<void> {
    // Without `read-zeroes` any content would do, but not what the buffer held before: that may be someone's data.
    into.fill(0);
    return this.#wait();
  }

  write(): MaybePromise<void> {
    return this.#wait();
  }

  writeZeroes(): MaybePromise<void> {
    return this.#wait();
  }

  discard(): MaybePromise<void> {
    return this.#wait();
  }

  status(_offset: number, length: number): Extent {
    return this.#zeroes ? { length, kind: 'hole' } : { length, kind: 'data', absent: true };
  }

  flush(): MaybePromise<void> {
    return this.#wait();
  }

  close(): void {}

  allocatedSize(): number {
    return 0;
  }

  #wait(): MaybePromise<void> {
    if (this.#latency > 0) return this.#services.wait(this.#latency);
  }
}

function sizeOption(options: OpenOptions, text: unknown): number {
  const parsed = typeof text === 'string' ? parseSize(text) : undefined;
  const exact = parsed && 'exact' in parsed ? parsed.exact : undefined;
  const size = options.size ?? GiB;
  // To the real tool these are negative, and nothing when they are rounded up to sectors.
  if (exact !== undefined && exact >= 2n ** 63n && exact < 2n ** 64n - 512n) return 0;
  if (size >= 0 && size <= MAX_DISK) return alignUp(size, SECTOR);
  throw new BlockError('too-large', 'Could not refresh total sector count: File too large');
}

function latencyOption(options: OpenOptions): number {
  const nanoseconds = options['latency-ns'] ?? 0;
  if (nanoseconds >= 0 && nanoseconds < 2 ** 63) return nanoseconds / 1e6;
  throw invalidArgument('latency-ns is invalid');
}

/** The name that makes the same again, as far as the content goes; undefined if that is the plain one. */
function nameOf(driver: string, { size, 'read-zeroes': zeroes }: OptionTree): string | undefined {
  if (size === undefined && zeroes === undefined) return undefined;
  return printJsonName({
    ...(zeroes === undefined ? {} : { 'read-zeroes': zeroes }),
    driver,
    ...(size === undefined ? {} : { size }),
  });
}

function nullProtocol(name: string): ProtocolDriver {
  const address = `${name}://`;
  return {
    name,
    prefixes: [name],
    openOptions,
    parseFilename: (filename) => {
      if (filename === address) return {};
      throw invalidArgument(`The only allowed filename for this driver is '${address}'`);
    },
    open: async (context, options) => {
      const driver = new NullDriver(
        context.services,
        sizeOption(options, context.given?.['size']),
        latencyOption(options),
        options['read-zeroes'] === true,
      );
      const storage = new CheckedStorage(driver, {
        name: nameOf(name, context.given ?? {}) ?? address,
        readOnly: !context.writable,
      });
      return Object.assign(storage, { protocol: name, quirks: { unknownClusters: true } });
    },
  };
}

/** The null protocol by its usual name. */
export const nullCoDriver: ProtocolDriver = nullProtocol('null-co');

/** The same; in QEMU the two differ in how requests are scheduled. */
export const nullAioDriver: ProtocolDriver = nullProtocol('null-aio');
