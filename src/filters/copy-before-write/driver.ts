/**
 * `copy-before-write`: before something is overwritten, it is copied into a target, which so has the content from before. What
 * was copied is known only while it is open.
 */
import { RangeLock } from '../../base/async.ts';
import { BlockError, invalidArgument } from '../../base/error.ts';
import { alignDown, alignUp, KiB } from '../../base/offset.ts';
import type { FilterContext, FilterDriver } from '../../block/filter.ts';
import { coerceTree } from '../../block/graph/openOptions.ts';
import { optionText } from '../../options/dotted.ts';
import type { OptionTable } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { Preallocation, Storage, ZeroFlags } from '../../storage/storage.ts';

const openOptions = {
  'on-cbw-error': { kind: 'string', help: 'break-guest-write or break-snapshot' },
  'cbw-timeout': { kind: 'number', help: 'Seconds that a copy may take' },
  'min-cluster-size': { kind: 'size', help: 'Smallest piece that is copied, in bytes' },
} as const satisfies OptionTable;

const UNIT = 64 * KiB;
const ERROR_POLICIES = ['break-guest-write', 'break-snapshot'];

/** Copies before it writes. */
class CopyingStorage extends PassingStorage {
  readonly #target: Storage;
  /** A failure to copy does not keep anybody from writing: the copy is given up. */
  readonly #mayBreak: boolean;
  readonly #pieces = new RangeLock();
  readonly #copied = new Set<number>();
  #isBroken = false;

  constructor(below: Storage, target: Storage, mayBreak: boolean) {
    super(below);
    this.#target = target;
    this.#mayBreak = mayBreak;
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
    if (size < this.below.size()) await this.#keep(size, this.below.size() - size);
    await super.truncate(size, preallocation);
  }

  override async flush(): Promise<void> {
    await super.flush();
    await this.#target.flush();
  }

  /** Nothing else is written into a piece while it is copied. */
  async #changing(offset: number, length: number, change: () => unknown): Promise<void> {
    await this.#pieces.run(alignDown(offset, UNIT), alignUp(offset + length, UNIT), async () => {
      await this.#keep(offset, length);
      await change();
    });
  }

  async #keep(offset: number, length: number): Promise<void> {
    if (this.#isBroken) return;
    const end = Math.min(alignUp(offset + length, UNIT), this.below.size());
    try {
      for (let at = alignDown(offset, UNIT); at < end; at += UNIT) {
        if (this.#copied.has(at)) continue;
        const bytes = new Uint8Array(Math.min(UNIT, end - at, this.below.size() - at));
        await this.below.read(at, bytes);
        await this.#target.write(at, bytes);
        this.#copied.add(at);
      }
    } catch (error) {
      if (!this.#mayBreak) throw error;
      this.#isBroken = true;
    }
  }
}

function check(options: OptionTree, roles: readonly string[]): void {
  for (const [name, value] of Object.entries(options)) {
    if (name === 'bitmap') continue;
    if (!Object.hasOwn(openOptions, name)) throw invalidArgument(`Parameter '${name}' is unexpected`);
    if (name === 'cbw-timeout' && !/^\d+$/.test(optionText(value))) {
      throw invalidArgument(`Parameter '${name}' expects integer`);
    }
    if (name === 'on-cbw-error' && !ERROR_POLICIES.includes(optionText(value))) {
      throw invalidArgument(`Parameter '${name}' does not accept value '${optionText(value)}'`);
    }
  }
  for (const role of ['file', 'target']) {
    if (!roles.includes(role)) throw invalidArgument(`Parameter '${role}' is missing`);
  }
}

/** The filter. */
export const copyBeforeWrite: FilterDriver = {
  name: 'copy-before-write',
  roles: [{ role: 'file' }, { role: 'target' }],
  check,
  open: async ({ below, children, options, readOnly }: FilterContext) => {
    if (readOnly) throw new BlockError('read-only', 'Block node is read-only');
    const { values } = coerceTree(openOptions, options);
    const target = children.find(({ role }) => role === 'target')?.node ?? below;
    if (target.size() < below.size()) throw invalidArgument('Source and target are not same-sized');
    return new CopyingStorage(below, target, values['on-cbw-error'] === 'break-snapshot');
  },
};
