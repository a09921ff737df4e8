/**
 * `copy-before-write`: before something is overwritten, it is copied into a target, which so has the content from before. What
 * was copied is known only while it is open.
 */
import { RangeLock } from '../../base/async.ts';
import { BlockError, invalidArgument } from '../../base/error.ts';
import { systemError } from '../../base/posix.ts';
import { parseSize } from '../../base/size.ts';
import { alignDown, alignUp, isPowerOfTwo, KiB } from '../../base/offset.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { coerceTree } from '../../block/graph/openOptions.ts';
import { isTree, optionText } from '../../options/dotted.ts';
import type { OptionTable } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { Preallocation, Storage, ZeroFlags } from '../../storage/storage.ts';

const openOptions = {
  'on-cbw-error': { kind: 'string', help: 'break-guest-write or break-snapshot' },
  'cbw-timeout': { kind: 'number', help: 'Seconds that a copy may take' },
  'min-cluster-size': { kind: 'size', help: 'Smallest piece that is copied, in bytes' },
} as const satisfies OptionTable;

/** Smallest piece that is copied. */
const LEAST_UNIT = 64 * KiB;
/** Seconds are numbers of 32 bits. */
const MOST_SECONDS = 2 ** 32;
const ERROR_POLICIES = ['break-guest-write', 'break-snapshot'];

/** How copies are made. */
interface Copying {
  /** Bytes that are copied as one, a power of two. */
  readonly unit: number;
  /** A failure to copy does not keep anybody from writing: the copy is given up. */
  readonly mayBreak: boolean;
  /** Milliseconds that a copy may take; 0: no limit. */
  readonly timeout: number;
  wait(milliseconds: number): Promise<void>;
}

/** Copies before it writes. */
class CopyingStorage extends PassingStorage {
  readonly #target: Storage;
  readonly #how: Copying;
  readonly #pieces = new RangeLock();
  readonly #copied = new Set<number>();
  #isBroken = false;

  constructor(below: Storage, target: Storage, how: Copying) {
    super(below);
    this.#target = target;
    this.#how = how;
  }

  override async write(offset: number, from: Uint8Array): Promise<void> {
    await this.#changing(offset, from.length, () => super.write(offset, from));
  }

  override async writeZeroes(offset: number, length: number, flags: ZeroFlags): Promise<void> {
    await this.#changing(offset, length, () => super.writeZeroes(offset, length, flags));
  }

  override async discard(offset: number, length: number): Promise<void> {
    await this.#changing(offset, length, () => super.discard(offset, length));
  }

  override async truncate(size: number, preallocation: Preallocation): Promise<void> {
    const lost = Math.max(0, this.below.size() - size);
    await this.#changing(size, lost, () => super.truncate(size, preallocation));
  }

  override async flush(): Promise<void> {
    await super.flush();
    await this.#target.flush();
  }

  /** Nothing else is written into a piece while it is copied. */
  async #changing(offset: number, length: number, change: () => unknown): Promise<void> {
    const { unit, mayBreak, timeout } = this.#how;
    await this.#pieces.run(alignDown(offset, unit), alignUp(offset + length, unit), async () => {
      try {
        const copied = this.#keep(offset, length);
        await (timeout > 0 ? Promise.race([copied, this.#expire(timeout)]) : copied);
      } catch (error) {
        if (!mayBreak) throw error;
        this.#isBroken = true;
      }
      await change();
    });
  }

  async #keep(offset: number, length: number): Promise<void> {
    const { unit } = this.#how;
    const end = Math.min(alignUp(offset + length, unit), this.below.size());
    for (let at = alignDown(offset, unit); at < end && !this.#isBroken; at += unit) {
      if (this.#copied.has(at)) continue;
      const bytes = new Uint8Array(Math.min(unit, end - at));
      await this.below.read(at, bytes);
      await this.#target.write(at, bytes);
      this.#copied.add(at);
    }
  }

  async #expire(milliseconds: number): Promise<never> {
    await this.#how.wait(milliseconds);
    throw systemError('ETIMEDOUT', undefined, { filename: this.#target.name });
  }
}

function check(options: OptionTree, roles: readonly string[]): void {
  for (const [name, value] of Object.entries(options)) {
    if (name === 'bitmap') {
      checkBitmap(value);
      continue;
    }
    if (!Object.hasOwn(openOptions, name)) throw invalidArgument(`Parameter '${name}' is unexpected`);
    if (name === 'cbw-timeout' && !/^\d+$/.test(optionText(value))) {
      throw invalidArgument(`Parameter '${name}' expects ${/^-\d+$/.test(optionText(value)) ? 'uint32_t' : 'integer'}`);
    }
    if (name === 'min-cluster-size' && parseSize(optionText(value)).kind !== 'ok') {
      throw invalidArgument(`Parameter '${name}' expects size`);
    }
    if (name === 'on-cbw-error' && !ERROR_POLICIES.includes(optionText(value))) {
      throw invalidArgument(`Parameter '${name}' does not accept value '${optionText(value)}'`);
    }
  }
  for (const role of ['file', 'target']) {
    if (!roles.includes(role)) throw invalidArgument(`Parameter '${role}' is missing`);
  }
}

function checkBitmap(value: OptionTree[string]): void {
  if (!isTree(value)) throw invalidArgument("Invalid parameter type for 'bitmap', expected: object");
  for (const part of ['node', 'name']) {
    if (value[part] === undefined) throw invalidArgument(`Parameter 'bitmap.${part}' is missing`);
  }
}

/** Bitmaps that say what is to be copied are those of running machines: images have none while they are open. */
function refuseBitmap(bitmap: OptionTree[string] | undefined, findNode: FilterContext['findNode']): void {
  if (!isTree(bitmap)) return;
  const [node, name] = [optionText(bitmap['node'] ?? null), optionText(bitmap['name'] ?? null)];
  throw invalidArgument(findNode(node) ? `Dirty bitmap '${name}' not found` : `Node '${node}' not found`);
}

/** The filter. */
export const copyBeforeWrite: FilterDriver = {
  name: 'copy-before-write',
  roles: [{ role: 'file' }, { role: 'target' }],
  check,
  open: async ({ below, children, options, readOnly, services, findNode }: FilterContext) => {
    if (readOnly) throw new BlockError('read-only', 'Block node is read-only');
    refuseBitmap(options['bitmap'], findNode);
    const { values } = coerceTree(openOptions, options);
    const target = children.find(({ role }) => role === 'target')?.node ?? below;
    const unit = Number(values['min-cluster-size'] ?? 0);
    if (unit !== 0 && !isPowerOfTwo(unit)) {
      throw invalidArgument('Cannot create block-copy-state: min-cluster-size needs to be a power of 2');
    }
    return new CopyingStorage(below, target, {
      unit: Math.max(LEAST_UNIT, unit),
      mayBreak: values['on-cbw-error'] === 'break-snapshot',
      timeout: 1000 * (Number(values['cbw-timeout'] ?? 0) % MOST_SECONDS),
      wait: (milliseconds) => services.wait(milliseconds),
    });
  },
};
