/** What the tests of VDI, QED and qcow images share: images over memory, and random changes held against a byte array. */
import { DEFAULT_LIMITS } from '../../src/block/limits.ts';
import * as fc from 'fast-check';
import { BlockError } from '../../src/base/error.ts';
import type { CheckFindings } from '../../src/block/capabilities.ts';
import type { CreateContext, FormatDriver, OpenContext } from '../../src/block/format.ts';
import { ImageNode } from '../../src/block/node/node.ts';
import type { Services } from '../../src/block/services.ts';
import { nodeCrypto } from '../../src/host/node/crypto.ts';
import type { AnyOptionValues } from '../../src/options/table.ts';
import { MemoryDriver } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { codec, fresh } from '../unit/formats/qcow2/support.ts';
import { storageOf } from './vpcVhdx.ts';
import { defaultsOf } from '../../src/options/coerce.ts';

/** Raw deflate, cryptography, one secret and steady "random" bytes. */
const services: Services = {
  limits: DEFAULT_LIMITS,
  codec,
  buffers: fresh,
  crypto: nodeCrypto(),
  random: (into: Uint8Array) => into.forEach((_, index) => (into[index] = 0xff - index)),
  secrets: {
    get: (id: string) => {
      if (id === 'key') return new TextEncoder().encode('0123456789abcdef and more');
      throw new BlockError('not-found', `No secret with id '${id}'`);
    },
  },
} as unknown as Services;

/** How {@link openOn} opens. */
export interface OpenChoice {
  readonly readOnly?: boolean;
  readonly intent?: OpenContext['intent'];
  readonly keyless?: boolean;
  readonly options?: AnyOptionValues;
  readonly backing?: ImageNode;
  /** Gets warnings about missing data. */
  readonly tellMissing?: (text: string) => void;
}

/** Creates an image in `file`, with the defaults of the format's options. */
export async function createOn(driver: FormatDriver, file: Storage, options: AnyOptionValues): Promise<void> {
  const context = { file, services, filename: 'test' } as unknown as CreateContext;
  await driver.create?.(context, { ...defaultsOf(driver.createOptions ?? {}), ...options });
}

/** Opens the image in `file`. Closing the node leaves `file` open. */
export async function openOn(driver: FormatDriver, file: Storage, choice: OpenChoice = {}): Promise<ImageNode> {
  const readOnly = choice.readOnly ?? false;
  const { backing, tellMissing } = choice;
  const tell = tellMissing ? { tellMissing } : {};
  const image = await driver.open({
    file,
    filename: 'test',
    readOnly,
    intent: choice.intent ?? 'io',
    keyless: choice.keyless ?? choice.intent === 'info',
    options: choice.options ?? {},
    services,
    openChild: async () => undefined,
    warn: () => undefined,
    ...tell,
  } as unknown as OpenContext);
  const parts = { name: 'test', format: driver.name, driver: image, readOnly };
  return new ImageNode({ ...parts, ...tell, ...(backing ? { backing } : {}) });
}

/** An empty image in memory, and its bytes. */
export async function emptyImage(driver: FormatDriver, options: AnyOptionValues): Promise<Uint8Array> {
  const memory = new MemoryDriver(0);
  await createOn(driver, storageOf(memory), options);
  return memory.toBytes();
}

/** What the check of an image finds, and the lines it prints. */
export async function checkOn(
  driver: FormatDriver,
  file: Storage,
  repair: 'none' | 'all' = 'none',
): Promise<Partial<CheckFindings> & { lines: string[] }> {
  const node = await openOn(driver, file, { intent: 'check', readOnly: repair === 'none' });
  const lines: string[] = [];
  const found = await node.check(repair, ({ text }) => lines.push(text));
  await node.close();
  return { ...found, lines };
}

/** One change of an image; offsets and lengths are cut to fit. */
export type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly length: number; readonly value: number }
  | { readonly kind: 'zero' | 'discard'; readonly offset: number; readonly length: number }
  | { readonly kind: 'compress'; readonly offset: number; readonly value: number }
  | { readonly kind: 'flush' | 'reopen' | 'pair' };

/** Arbitrary lists of changes of an image of `size` bytes. */
export function changesOf(size: number, longest: number): fc.Arbitrary<Change[]> {
  const place = { offset: fc.nat(size - 1), length: fc.integer({ min: 1, max: longest }) };
  const value = fc.integer({ min: 1, max: 255 });
  return fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant('write' as const), ...place, value }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('zero' as const, 'discard' as const), ...place }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('compress' as const), offset: place.offset, value }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'reopen' as const, 'pair' as const) }),
      },
    ),
    { minLength: 1, maxLength: 12 },
  );
}

/** An image and the bytes that it should hold. */
export class Mirror {
  readonly expected: Uint8Array;
  readonly #open: () => Promise<ImageNode>;
  node: ImageNode;

  private constructor(node: ImageNode, open: () => Promise<ImageNode>, expected: Uint8Array) {
    this.node = node;
    this.#open = open;
    this.expected = expected;
  }

  static async start(open: () => Promise<ImageNode>): Promise<Mirror> {
    const node = await open();
    const expected = new Uint8Array(node.size());
    await node.read(0, expected);
    return new Mirror(node, open, expected);
  }

  async apply(change: Change): Promise<void> {
    const { node, expected } = this;
    switch (change.kind) {
      case 'write':
      case 'zero':
      case 'discard': {
        const length = Math.min(change.length, expected.length - change.offset);
        if (change.kind === 'discard') {
          await node.discard(change.offset, length);
          await this.#adopt(change.offset, length);
          return;
        }
        expected.fill(change.kind === 'write' ? change.value : 0, change.offset, change.offset + length);
        if (change.kind === 'zero') await node.writeZeroes(change.offset, length, { unmap: true });
        else await node.write(change.offset, expected.slice(change.offset, change.offset + length));
        return;
      }
      case 'compress':
        return this.#compress(change.offset, change.value);
      case 'pair': {
        const middle = Math.floor(expected.length / 2);
        expected.fill(77, middle - 700, middle + 900);
        await Promise.all([
          node.write(middle - 700, new Uint8Array(700).fill(77)),
          node.write(middle, new Uint8Array(900).fill(77)),
        ]);
        return;
      }
      case 'flush':
        await node.flush();
        return;
      case 'reopen':
        await node.close();
        this.node = await this.#open();
    }
  }

  /** What discarded bytes read as is not defined: the image decides. */
  async #adopt(offset: number, length: number): Promise<void> {
    await this.node.read(offset, this.expected.subarray(offset, offset + length));
  }

  async #compress(offset: number, value: number): Promise<void> {
    const { compressor } = this.node;
    if (!compressor || (await this.node.info()).encrypted) return;
    const start = offset - (offset % compressor.unit);
    const bytes = this.expected.subarray(start, Math.min(start + compressor.unit, this.expected.length));
    bytes.fill(value);
    const [coded] = await compressor.encode(start, bytes);
    if (coded) await this.node.storeCompressed(start, coded);
    else await this.node.write(start, bytes);
  }

  /** True if the image holds what it should, now and after it was closed and opened again. */
  async holds(): Promise<boolean> {
    let right = true;
    for (const again of [false, true]) {
      if (again) await this.apply({ kind: 'reopen' });
      const bytes = new Uint8Array(this.expected.length);
      await this.node.read(0, bytes);
      right &&= Buffer.compare(bytes, this.expected) === 0;
    }
    await this.node.close();
    return right;
  }
}

/** Runs a step; only a {@link BlockError} may come out, and not one of kind `internal`. */
export async function tolerate(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof BlockError) || error.kind === 'internal') throw error;
  }
}
