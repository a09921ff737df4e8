/** A storage in front of another on which requests fail by rules. */
import type { MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import type { Extent, Limits, Preallocation, Storage, StorageDriver, ZeroFlags } from '../../storage/storage.ts';

/** Kinds of requests. */
export type IoType = 'read' | 'write' | 'write-zeroes' | 'discard' | 'flush' | 'block-status';

/** Which requests fail, and how. */
export interface Rule {
  /** Absent: all but questions for the status. */
  readonly type?: IoType;
  /** Only requests that touch it, and so no flushes; below 0: all. */
  readonly sector: number;
  /** The rule ends with its first error. */
  readonly once: boolean;
  /** Undefined: the request passes, whatever later rules say. */
  readonly error: BlockError | undefined;
}

/** The first rule that fits a request decides. */
export class RuleStorage implements StorageDriver {
  readonly limits: Limits;
  readonly #below: Storage;
  #rules: readonly Rule[];

  constructor(below: Storage, rules: readonly Rule[], limits: Limits) {
    this.#below = below;
    this.#rules = rules;
    this.limits = limits;
  }

  size(): number {
    return this.#below.size();
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    this.#admit('read', offset, into.length);
    return this.#below.read(offset, into);
  }

  write(offset: number, from: Uint8Array): MaybePromise<void> {
    this.#admit('write', offset, from.length);
    return this.#below.write(offset, from);
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    this.#admit('write-zeroes', offset, length);
    return this.#below.writeZeroes(offset, length, flags);
  }

  discard(offset: number, length: number): MaybePromise<void> {
    this.#admit('discard', offset, length);
    return this.#below.discard(offset, length);
  }

  status(offset: number, length: number): MaybePromise<Extent> {
    this.#admit('block-status', offset, length);
    return this.#below.status(offset, length);
  }

  truncate(size: number, preallocation: Preallocation): MaybePromise<void> {
    return this.#below.truncate(size, preallocation);
  }

  flush(): MaybePromise<void> {
    this.#admit('flush');
    return this.#below.flush();
  }

  /** What is below belongs to the node. */
  close(): void {}

  allocatedSize(): MaybePromise<number | undefined> {
    return this.#below.allocatedSize();
  }

  /** Throws the error that is due. */
  #admit(type: IoType, offset?: number, length = 0): void {
    const rule = this.#rules.find((candidate) => fits(candidate, type, offset, length));
    if (!rule?.error) return;
    if (rule.once) this.#rules = this.#rules.filter((other) => other !== rule);
    // A new one each time: it is thrown more than once, and its trace is of the place.
    throw new BlockError(rule.error.kind, rule.error.message, {
      context: { filename: this.#below.name, access: type, ...(offset === undefined ? {} : { offset, length }) },
      posix: { code: rule.error.code, text: rule.error.strerror },
    });
  }
}

function fits(rule: Rule, type: IoType, offset: number | undefined, length: number): boolean {
  if (rule.type === undefined ? type === 'block-status' : rule.type !== type) return false;
  if (rule.sector < 0) return true;
  const place = rule.sector * SECTOR;
  return offset !== undefined && place >= offset && place < offset + length;
}
