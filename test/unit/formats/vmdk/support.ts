/** VMDK images of one or more files in memory, for tests. */
import { DEFAULT_LIMITS } from '../../../../src/block/limits.ts';
import { deflateSync, inflateSync } from 'node:zlib';
import { BlockError } from '../../../../src/base/error.ts';
import type { ChildOptions, OpenContext } from '../../../../src/block/format.ts';
import type { ImageDriver } from '../../../../src/block/capabilities.ts';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { nodeOf } from '../../../support/drivers.ts';
import type { Services } from '../../../../src/block/services.ts';
import type { CodecPort } from '../../../../src/codec/codec.ts';
import { vmdk } from '../../../../src/formats/vmdk/driver.ts';
import { AlignedBufferPool } from '../../../../src/host/node/fileBuffers.ts';
import type { AnyOptionValues } from '../../../../src/options/table.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../../src/storage/memory.ts';
import { createOptions } from '../../../../src/formats/vmdk/options.ts';
import { defaultsOf } from '../../../../src/options/coerce.ts';

function decompress(input: Uint8Array, into: Uint8Array): number {
  try {
    const bytes = inflateSync(input);
    into.set(bytes.subarray(0, into.length));
    return Math.min(bytes.length, into.length);
  } catch (cause) {
    throw new BlockError('io', 'Input/output error', { cause });
  }
}

const codec: CodecPort = {
  decompress: (_how, input, into) => decompress(input, into),
  decompressBatch: async (_how, pieces) => pieces.map(({ input, output }) => decompress(input, output)),
  compressBatch: async (_how, input, unit, limit) => {
    const results: (Uint8Array | undefined)[] = [];
    for (let at = 0; at < input.length; at += unit) {
      const coded = deflateSync(input.subarray(at, at + unit));
      results.push(coded.length < limit ? coded : undefined);
    }
    return results;
  },
};

let seed = 1;
const services = {
  limits: DEFAULT_LIMITS,
  codec,
  buffers: new AlignedBufferPool(262144),
  random: (into: Uint8Array) => {
    for (let i = 0; i < into.length; i++) into[i] = (seed = (seed * 48271) % 0x7fffffff) % 251;
  },
} as unknown as Services;

/** Files by name. */
export type Files = Map<string, MemoryDriver>;

function storageOf(files: Files, name: string, readOnly: boolean): CheckedStorage {
  const driver = files.get(name);
  if (!driver) throw new BlockError('not-found', `Could not open '${name}': No such file or directory`);
  return new CheckedStorage(driver, { name, readOnly });
}

/** One file with that content. */
export function fileOf(files: Files, name: string, content: Uint8Array | number = 0): MemoryDriver {
  const driver = new MemoryDriver(content);
  files.set(name, driver);
  return driver;
}

/** Creates `disk.vmdk` (or `name`). */
export async function createIn(files: Files, options: AnyOptionValues, name = 'disk.vmdk'): Promise<void> {
  fileOf(files, name);
  await vmdk.create?.(
    {
      file: storageOf(files, name, false),
      filename: name,
      services,
      createChild: async (child: string, size: number) => {
        fileOf(files, child, size);
        return storageOf(files, child, false);
      },
      openBacking: (backing: string) => openIn(files, { name: backing, readOnly: true }),
      warn: () => undefined,
    },
    { ...defaultsOf(createOptions), ...options },
  );
}

/** Opens `disk.vmdk` (or `name`). */
export async function openIn(
  files: Files,
  how: {
    readonly name?: string;
    readonly readOnly?: boolean;
    readonly backing?: ImageNode;
    readonly intent?: OpenContext['intent'];
    /** Gets warnings and lines that stand beside errors. */
    readonly say?: (line: string) => void;
  } = {},
): Promise<ImageNode> {
  const name = how.name ?? 'disk.vmdk';
  const readOnly = how.readOnly ?? false;
  const driver: ImageDriver = await vmdk.open({
    file: storageOf(files, name, readOnly),
    filename: name,
    readOnly,
    intent: how.intent ?? 'io',
    options: {},
    services,
    openChild: async (_role: string, reference: string | undefined, { writable }: ChildOptions = {}) =>
      storageOf(files, reference ?? '', writable === false || readOnly),
    warn: (line: string) => how.say?.(line),
    complain: (line: string) => how.say?.(line),
  } as unknown as OpenContext);
  const backing = how.backing ? { backing: how.backing } : {};
  return nodeOf({ name, format: 'vmdk', driver, readOnly, ...backing });
}

/** All guest bytes. */
export async function contentOf(node: ImageNode): Promise<Uint8Array> {
  const bytes = new Uint8Array(node.size());
  await node.read(0, bytes);
  return bytes;
}
