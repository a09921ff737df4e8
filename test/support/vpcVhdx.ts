/** What the tests of the VHD and VHDX drivers share: images over memory, and memory that can be cut off. */
import { DEFAULT_LIMITS } from '../../src/block/limits.ts';
import type { CreateContext, FormatDriver, OpenContext } from '../../src/block/format.ts';
import { ImageNode } from '../../src/block/node/node.ts';
import type { Services } from '../../src/block/services.ts';
import type { AnyOptionValues } from '../../src/options/table.ts';
import { CheckedStorage } from '../../src/storage/checked.ts';
import { MemoryDriver } from '../../src/storage/memory.ts';
import type { Preallocation, Storage, ZeroFlags } from '../../src/storage/storage.ts';
import { defaultsOf } from '../../src/options/coerce.ts';

/** Numbers that look random and are the same in every run. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

const next = numbers(1);

/** Randomness and a clock; nothing else is needed here. */
const services: Services = {
  limits: DEFAULT_LIMITS,
  random: (into: Uint8Array) => {
    for (let i = 0; i < into.length; i++) into[i] = Math.floor(next() * 256);
  },
  now: () => ({ seconds: 1700000000, nanoseconds: 0 }),
} as unknown as Services;

/** Creates an image in `file`. */
export async function createOn(driver: FormatDriver, file: Storage, options: AnyOptionValues): Promise<void> {
  await driver.create?.({ file, services, filename: 'test' } as unknown as CreateContext, {
    ...defaultsOf(driver.createOptions ?? {}),
    ...options,
  });
}

/** How {@link openOn} opens. */
export interface OpenChoice {
  readonly readOnly?: boolean;
  readonly intent?: OpenContext['intent'];
  readonly options?: AnyOptionValues;
  /** Gets warnings and the lines that are printed besides errors. */
  readonly lines?: string[];
}

/** Opens the image in `file`. Closing the node leaves `file` open. */
export async function openOn(driver: FormatDriver, file: Storage, choice: OpenChoice = {}): Promise<ImageNode> {
  const readOnly = choice.readOnly ?? false;
  const image = await driver.open({
    file,
    filename: 'test',
    readOnly,
    intent: choice.intent ?? 'io',
    options: choice.options ?? {},
    services,
    warn: (text: string) => choice.lines?.push(text),
    complain: (text: string) => choice.lines?.push(text),
  } as unknown as OpenContext);
  return new ImageNode({ name: 'test', format: driver.name, driver: image, readOnly });
}

/** The guest's view of a range. */
export async function readAll(node: ImageNode, offset = 0, length: number = node.size() - offset): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await node.read(offset, bytes);
  return bytes;
}

type Step = (driver: MemoryDriver) => void;

/** Memory that remembers every change, so that it can be seen as it was after each of them. */
export class Recording extends MemoryDriver {
  readonly steps: { readonly step: Step; readonly epoch: number; readonly torn?: Step }[] = [];
  readonly #start: Uint8Array;
  #epoch = 0;

  constructor(content: Uint8Array) {
    super(content);
    this.#start = content.slice();
  }

  #note(step: Step, torn?: Step): void {
    this.steps.push({ step, epoch: this.#epoch, ...(torn ? { torn } : {}) });
  }

  override write(offset: number, from: Uint8Array): void {
    const bytes = from.slice();
    const torn = bytes.subarray(0, Math.min(40, bytes.length >> 1));
    // The constructor of the memory writes before there is a list.
    if (this.steps) {
      this.#note(
        (driver) => driver.write(offset, bytes),
        (driver) => driver.write(offset, torn),
      );
    }
    super.write(offset, from);
  }

  override writeZeroes(offset: number, length: number, flags: ZeroFlags): void {
    this.#note((driver) => driver.writeZeroes(offset, length, flags));
    super.writeZeroes(offset, length, flags);
  }

  override truncate(size: number, preallocation: Preallocation): void {
    this.#note((driver) => driver.truncate(size, preallocation));
    super.truncate(size, preallocation);
  }

  override flush(): void {
    this.#epoch++;
  }

  /**
   * Every state that a power cut can leave: a prefix of the changes, of which the last may be torn, and of those since
   * the last flush one more may be missing.
   */
  *cuts(): Generator<{ readonly name: string; readonly file: CheckedStorage }> {
    for (let count = 0; count <= this.steps.length; count++) {
      yield { name: `after ${count}`, file: this.#state(count, undefined) };
      const torn = this.steps[count]?.torn;
      if (torn) yield { name: `after ${count} and a half`, file: this.#state(count, undefined, torn) };
      const epoch = this.steps[count - 1]?.epoch;
      for (let left = count - 2; left >= 0 && this.steps[left]?.epoch === epoch; left--) {
        yield { name: `after ${count} without ${left}`, file: this.#state(count, left) };
      }
    }
  }

  #state(count: number, leftOut: number | undefined, last?: Step): CheckedStorage {
    const driver = new MemoryDriver(this.#start);
    this.steps.slice(0, count).forEach(({ step }, index) => {
      if (index !== leftOut) step(driver);
    });
    last?.(driver);
    return storageOf(driver);
  }
}

/** A complete storage over a driver. */
export function storageOf(driver: MemoryDriver, readOnly = false): CheckedStorage {
  return new CheckedStorage(driver, { name: 'test', readOnly });
}
