/** An export as a storage: requests in whole blocks, holes from block states, changes that are made safe. */
import { type MaybePromise, RangeLock } from '../../base/async.ts';
import { type BlockError, invalidArgument, unsupported } from '../../base/error.ts';
import { alignDown, alignUp, SECTOR } from '../../base/offset.ts';
import { systemError } from '../../base/posix.ts';
import { rounded } from '../../block/node/rounding.ts';
import type { Quirks } from '../../block/capabilities.ts';
import type { ProtocolContext, ProtocolStorage } from '../../block/protocol.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Extent, Limits, Preallocation, StorageDriver, ZeroFlags } from '../../storage/storage.ts';
import type { BlockStates } from './answer.ts';
import type { Client } from './client.ts';
import { limitsOf } from './limits.ts';
import { Command, CommandFlag, Flag, State } from './numbers.ts';

/** Block states are asked for so far ahead: those that are wanted next come with the same answer. */
const LOOK_AHEAD = 1073741824;
/** Longest range that block states are asked for where lengths have 32 bits. */
const MAX_RANGE = 4294967295;

/** Block states that were told, from `start` on. */
interface Known {
  readonly start: number;
  readonly states: BlockStates;
  /** The run that was looked at last, and where it begins. */
  index: number;
  at: number;
}

/** An export as a storage. */
export class NbdStorage implements StorageDriver {
  readonly limits: Limits;
  readonly #client: Client;
  readonly #discards: boolean;
  /** Each change is made safe at once. */
  readonly #through: boolean;
  /** Smallest unit of requests. */
  readonly #unit: number;
  /** Units that are read to be changed in part. */
  readonly #units = new RangeLock();
  #known: Known | undefined;
  /** Changes that were begun or done: states that were asked for before one may be older than it. */
  #changes = 0;

  constructor(client: Client, { cache, discard }: Pick<ProtocolContext, 'cache' | 'discard'>) {
    this.#client = client;
    this.limits = limitsOf(client.export);
    this.#unit = this.limits.requestAlignment;
    this.#discards = discard === 'unmap';
    this.#through = cache === 'writethrough' || cache === 'directsync';
  }

  size(): number {
    return this.#client.export.size;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    return rounded(offset, into, this.#unit, this.size(), (at, bytes) => this.#read(at, bytes));
  }

  /** Reads whole blocks, which may be more than the server gives at once: those around what was asked for came with it. */
  async #read(offset: number, into: Uint8Array): Promise<void> {
    for (const [at, length] of this.#parts(into.length, this.limits.maxTransfer)) {
      const part = length === into.length ? into : into.subarray(at, at + length);
      await this.#client.request({ command: Command.read, flags: 0, offset: offset + at, length, into: part });
    }
  }

  /** A length in parts of at most `limit` bytes, in whole blocks. */
  *#parts(length: number, limit = length): Generator<readonly [at: number, length: number]> {
    const most = Math.max(alignDown(limit, this.#unit), this.#unit);
    for (let at = 0; at < length; at += most) yield [at, Math.min(most, length - at)];
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    const { length } = from;
    // What is wrong with it the server says best.
    if (
      offset + length > alignUp(this.size(), SECTOR) &&
      (offset + length) % this.#unit === 0 &&
      offset % this.#unit === 0
    )
      await this.#write(offset, from);
    const data = this.#inside(offset, from);
    const start = alignDown(offset, this.#unit);
    const end = alignUp(offset + data.length, this.#unit);
    if (start === offset && end === offset + data.length) return this.#write(offset, data);
    // Two writers of one unit would each put back what the other has changed.
    await this.#units.run(start, end, async () => {
      const bounce = new Uint8Array(end - start);
      await this.#read(start, bounce);
      bounce.set(data, offset - start);
      await this.#write(start, bounce);
    });
  }

  /** What of the bytes is inside the export: of those behind it the last sector may have some, if they are zeroes. */
  #inside(offset: number, from: Uint8Array): Uint8Array {
    const size = this.size();
    if (offset + from.length <= size) return from;
    const inside = Math.max(0, size - offset);
    if (offset + from.length > alignUp(size, SECTOR) || from.subarray(inside).some((byte) => byte !== 0)) {
      throw systemError('ENOSPC', undefined, { offset, length: from.length, access: 'write' });
    }
    return from.subarray(0, inside);
  }

  async #write(offset: number, data: Uint8Array): Promise<void> {
    for (const [at, length] of this.#parts(data.length, this.limits.maxTransfer)) {
      const part = length === data.length ? data : data.subarray(at, at + length);
      await this.#change(Command.write, 0, offset + at, length, part);
    }
  }

  async writeZeroes(offset: number, length: number, { unmap }: ZeroFlags): Promise<void> {
    const aligned = offset % this.#unit === 0 && length % this.#unit === 0;
    if (!this.#has(Flag.writeZeroes) || !aligned || offset + length > this.size()) {
      throw unsupported('The server cannot write such zeroes');
    }
    const flags = unmap === true ? 0 : CommandFlag.noHole;
    await this.#pieces(Command.writeZeroes, flags, offset, length, this.limits.maxWriteZeroes);
  }

  async discard(offset: number, length: number): Promise<void> {
    if (!this.#discards || !this.#has(Flag.trim)) return;
    const start = alignUp(offset, this.#unit);
    const end = alignDown(offset + length, this.#unit);
    if (end > start) await this.#pieces(Command.trim, 0, start, end - start, this.limits.maxDiscard);
  }

  async #pieces(command: number, flags: number, offset: number, length: number, limit?: number): Promise<void> {
    for (const [at, part] of this.#parts(length, limit)) await this.#change(command, flags, offset + at, part);
  }

  async #change(command: number, flags: number, offset: number, length: number, data?: Uint8Array): Promise<void> {
    this.#forget();
    const fua = this.#through && this.#has(Flag.fua);
    await this.#client.request({
      command,
      flags: fua ? flags | CommandFlag.fua : flags,
      offset,
      length,
      ...(data ? { data } : {}),
    });
    // States that were asked for meanwhile may be older.
    this.#forget();
    if (this.#through && !fua) await this.flush();
  }

  #forget(): void {
    this.#known = undefined;
    this.#changes++;
  }

  status(offset: number, length: number): MaybePromise<Extent> {
    if (this.#client.export.context === undefined) return { length, kind: 'data' };
    return this.#recall(this.#known, offset, length) ?? this.#ask(offset, length);
  }

  async #ask(offset: number, length: number): Promise<Extent> {
    const start = alignDown(offset, this.#unit);
    const longest = this.#client.export.form === 'extended' ? this.size() : alignDown(MAX_RANGE, this.#unit);
    const range = Math.min(Math.max(alignUp(length + offset - start, this.#unit), LOOK_AHEAD), longest);
    const before = this.#changes;
    const states = await this.#client.request({
      command: Command.blockStatus,
      flags: 0,
      offset: start,
      length: Math.min(range, this.size() - start),
    });
    if (!states) throw systemError('EIO', undefined, {});
    const told = { start, states, index: 0, at: start };
    if (this.#changes === before) this.#known = told;
    const found = this.#recall(told, offset, length);
    // A server that tells of less than one unit has not told anything.
    return found ?? { length: Math.min(length, start + this.#unit - offset), kind: 'data' };
  }

  /** What is known about a place without asking. */
  #recall(known: Known | undefined, offset: number, length: number): Extent | undefined {
    if (!known) return undefined;
    if (offset < known.at) Object.assign(known, { index: 0, at: known.start });
    if (offset < known.at) return undefined;
    const { lengths, bits } = known.states;
    for (; known.index < lengths.length; known.index++) {
      const end = known.at + (lengths[known.index] ?? 0);
      if (offset < end) {
        // Where a server tells of less than a sector, all of that counts as data: bits of bytes would take for ever. In the
        // last sector a file may end.
        const sector = Math.min(alignUp(offset + 1, SECTOR) - offset, length);
        if (end - offset < sector && alignUp(offset + 1, SECTOR) < this.size()) return { length: sector, kind: 'data' };
        return extentOf(bits[known.index] ?? 0, Math.min(length, end - offset));
      }
      known.at = end;
    }
    return undefined;
  }

  /** Whatever the cache mode is, as with the real tool: what was written counts only when the server says so. */
  async flush(): Promise<void> {
    if (this.#has(Flag.flush)) await this.#client.request({ command: Command.flush, flags: 0, offset: 0, length: 0 });
  }

  truncate(size: number, preallocation: Preallocation): void {
    if (size > this.size()) throw invalidArgument('Cannot grow NBD nodes');
    if (preallocation !== 'off') throw unsupported(`Unsupported preallocation mode '${preallocation}'`);
  }

  close(): void {
    this.#client.close();
  }

  #has(flag: number): boolean {
    return (this.#client.export.flags & flag) !== 0;
  }
}

/** A run of a nature that the bits of a context tell. */
function extentOf(bits: number, length: number): Extent {
  const zero = (bits & State.zero) !== 0;
  if ((bits & State.hole) !== 0) return zero ? { length, kind: 'hole' } : { length, kind: 'data', absent: true };
  return zero ? { length, kind: 'data', zeroes: true } : { length, kind: 'data' };
}

/** What is behind the end of an export, up to the end of its last sector, is zeroes that are nowhere. */
export class NbdExport extends CheckedStorage implements ProtocolStorage {
  readonly protocol: string = 'nbd';
  readonly fixed = (): BlockError => invalidArgument('Cannot resize NBD nodes');
  readonly frozen: string | undefined;
  readonly placeless: string = 'NBD';
  /** The real tool gets to know nothing about clusters from servers. */
  readonly quirks: Quirks = { unknownClusters: true };

  /** @param frozen the server gives the export for reading only. */
  constructor(driver: NbdStorage, options: ConstructorParameters<typeof CheckedStorage>[1], frozen: boolean) {
    super(driver, options);
    this.frozen = frozen ? "Can't reopen read-only NBD mount as read/write" : undefined;
  }

  override status(offset: number, length: number): MaybePromise<Extent> {
    if (offset >= this.size()) return { length: Math.max(1, length), kind: 'hole', absent: true };
    return super.status(offset, length);
  }
}
