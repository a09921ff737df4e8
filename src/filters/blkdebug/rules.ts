/**
 * Rules that make requests fail, and when they count. A rule waits for an event. When that occurs in the rule's state, all
 * rules that it awakens take the place of those that counted until then; they fail requests of their kind until another
 * event awakens others.
 */
import type { MaybePromise } from '../../base/async.ts';
import { andThen } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { SECTOR } from '../../base/offset.ts';
import type { FilterStorage } from '../../block/filter.ts';
import { PassingStorage } from '../../storage/passing.ts';
import type { DebugEvent, Limits, Storage, ZeroFlags } from '../../storage/storage.ts';

/** Kinds of requests. */
export type IoType = 'read' | 'write' | 'write-zeroes' | 'discard' | 'flush' | 'block-status';

/** Which requests fail, and how. */
export interface ErrorRule {
  readonly event: DebugEvent;
  /** State in which the event counts; 0: each. */
  readonly state: number;
  /** Absent: all but questions for the status. */
  readonly type?: IoType;
  /** Only requests that touch it, and so no flushes; below 0: all. */
  readonly sector: number;
  /** The rule ends with its first error. */
  readonly once: boolean;
  /** Undefined: the request passes, whatever later rules say. */
  readonly error: BlockError | undefined;
}

/** What becomes of the state when an event occurs. */
export interface StateRule {
  readonly event: DebugEvent;
  /** State in which the event counts; 0: each. */
  readonly state: number;
  readonly next: number;
}

/** All rules, in their order. */
export interface Rules {
  readonly errors: readonly ErrorRule[];
  readonly states: readonly StateRule[];
}

/** The state before any event. */
const FIRST_STATE = 1;

/** A storage in front of another on which requests fail by rules: the first that fits decides. */
export class RuleStorage extends PassingStorage implements FilterStorage {
  readonly #limits: Limits;
  readonly #states: readonly StateRule[];
  #errors: readonly ErrorRule[];
  #awake: readonly ErrorRule[] = [];
  #state = FIRST_STATE;
  /** A flush was asked for above. */
  #isFlushing = false;
  /** Something was written, or was to be, since the last flush. */
  #isChanged = false;

  constructor(below: Storage, rules: Rules, limits: Limits) {
    super(below);
    this.#limits = limits;
    this.#errors = rules.errors;
    this.#states = rules.states;
    this.debugEvent('none');
  }

  override get limits(): Limits {
    return this.#limits;
  }

  override read(offset: number, into: Uint8Array): MaybePromise<void> {
    this.#admit('read', offset, into.length);
    return super.read(offset, into);
  }

  override write(offset: number, from: Uint8Array): MaybePromise<void> {
    this.debugEvent('pwritev');
    this.#admit('write', offset, from.length);
    return andThen(super.write(offset, from), () => this.debugEvent('pwritev_done'));
  }

  override writeZeroes(offset: number, length: number, flags: ZeroFlags): MaybePromise<void> {
    this.debugEvent('pwritev_zero');
    this.#admit('write-zeroes', offset, length);
    return andThen(super.writeZeroes(offset, length, flags), () => this.debugEvent('pwritev_done'));
  }

  override discard(offset: number, length: number): MaybePromise<void> {
    this.#admit('discard', offset, length);
    return super.discard(offset, length);
  }

  override truncate(...how: Parameters<PassingStorage['truncate']>): MaybePromise<void> {
    this.#isChanged = true;
    return super.truncate(...how);
  }

  override status(offset: number, length: number): ReturnType<PassingStorage['status']> {
    this.admitStatus(offset, length);
    return super.status(offset, length);
  }

  /** Formats flush for themselves, too, which the real tool does not: only what is told before counts. */
  override flush(): MaybePromise<void> {
    if (this.#isFlushing && this.#isChanged) {
      this.#isFlushing = false;
      this.#admit('flush');
      this.#isChanged = false;
    }
    return super.flush();
  }

  /** The real tool does not know it either. */
  override allocatedSize(): undefined {}

  admitStatus(offset: number, length: number): void {
    this.#admit('block-status', offset, length);
  }

  debugEvent(event: DebugEvent): void {
    if (event === 'flush_asked') this.#isFlushing = true;
    const counts = (rule: ErrorRule | StateRule): boolean =>
      rule.event === event && (rule.state === 0 || rule.state === this.#state);
    const awakened = this.#errors.filter(counts);
    if (awakened.length > 0) this.#awake = awakened;
    this.#state = this.#states.findLast(counts)?.next ?? this.#state;
  }

  /** Throws the error that is due. */
  #admit(type: IoType, offset?: number, length = 0): void {
    if (type === 'write' || type === 'write-zeroes' || type === 'discard') this.#isChanged = true;
    const rule = this.#awake.find((candidate) => fits(candidate, type, offset, length));
    if (!rule?.error) return;
    if (rule.once) {
      this.#errors = this.#errors.filter((other) => other !== rule);
      this.#awake = this.#awake.filter((other) => other !== rule);
    }
    // A new one each time: it is thrown more than once, and its trace is of the place.
    throw new BlockError(rule.error.kind, rule.error.message, {
      context: { filename: this.below.name, access: type, ...(offset === undefined ? {} : { offset, length }) },
      posix: { code: rule.error.code, text: rule.error.strerror },
    });
  }
}

function fits(rule: ErrorRule, type: IoType, offset: number | undefined, length: number): boolean {
  if (rule.type === undefined ? type === 'block-status' : rule.type !== type) return false;
  if (rule.sector < 0) return true;
  const place = rule.sector * SECTOR;
  return offset !== undefined && place >= offset && place < offset + length;
}
