/** Opening and creating qcow2 images over any storage, for tests. */
import { DEFAULT_LIMITS } from '../../../../src/block/limits.ts';
import { programHint } from '../../../../src/cli/hints.ts';
import type { OpenContext } from '../../../../src/block/format.ts';
import type { ImageNode } from '../../../../src/block/node/node.ts';
import { driverBelow, nodeOf } from '../../../support/drivers.ts';
import type { BufferPool } from '../../../../src/base/inflight.ts';
import type { SecretStore, Services } from '../../../../src/block/services.ts';
import type { CodecPort, DecompressPiece } from '../../../../src/codec/codec.ts';
import type { Qcow2Image } from '../../../../src/formats/qcow2/image.ts';
import { qcow2 } from '../../../../src/formats/qcow2/driver.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { BlockError } from '../../../../src/base/error.ts';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { type CreateOptions, createOptions, type OpenOptions } from '../../../../src/formats/qcow2/options.ts';
import { defaultsOf } from '../../../../src/options/coerce.ts';

function decompress(input: Uint8Array, into: Uint8Array): number {
  try {
    const bytes = inflateRawSync(input);
    into.set(bytes.subarray(0, into.length));
    return Math.min(bytes.length, into.length);
  } catch (cause) {
    throw new BlockError('io', 'Input/output error', { cause });
  }
}

/** Buffers that are never used twice, so that a forgotten one shows nothing of another. */
/** Buffers that are used once. */
export const fresh: BufferPool = { size: 1048576, acquire: () => new Uint8Array(1048576), release: () => {} };

/** Raw deflate only. */
export const codec: CodecPort = {
  decompress: (_how, input, into) => decompress(input, into),
  decompressBatch: async (_how, pieces: readonly DecompressPiece[]) =>
    pieces.map(({ input, output }) => decompress(input, output)),
  compressBatch: async (_how, input, unit, limit) => {
    const results: (Uint8Array | undefined)[] = [];
    for (let at = 0; at < input.length; at += unit) {
      const coded = deflateRawSync(input.subarray(at, at + unit), { windowBits: 12 });
      results.push(coded.length < limit ? coded : undefined);
    }
    return results;
  },
};

/** Nobody has told any secret. */
const secrets: SecretStore = {
  get: (id) => {
    throw new BlockError('not-found', `No secret with id '${id}'`);
  },
};

/** Services with a codec and no secrets. */
export const services: Services = {
  limits: DEFAULT_LIMITS,
  codec,
  secrets,
  buffers: fresh,
  wait: async () => undefined,
} as unknown as Services;

/** How {@link openOn} opens. */
export interface OpenChoice {
  readonly readOnly?: boolean;
  readonly intent?: OpenContext['intent'];
  readonly data?: Storage;
  readonly backing?: ImageNode;
  readonly warnings?: string[];
  readonly services?: Services;
  readonly options?: OpenOptions;
}

/** Opens the image in `file`. Closing the node leaves `file` open. */
export async function openOn(file: Storage, choice: OpenChoice = {}): Promise<ImageNode> {
  const driver = await qcow2.open({
    file,
    filename: 'test.qcow2',
    readOnly: choice.readOnly ?? false,
    intent: choice.intent ?? 'io',
    keyless: choice.intent === 'info',
    options: choice.options ?? {},
    services: choice.services ?? services,
    openChild: async () => choice.data,
    leaveChild: () => undefined,
    warn: (text, hint) => choice.warnings?.push(hint === undefined ? text : `${text}\n${programHint(hint)}`),
    notice: (text: string) => choice.warnings?.push(text),
  });
  return nodeOf({
    name: 'test.qcow2',
    format: 'qcow2',
    driver,
    readOnly: choice.readOnly ?? false,
    ...(choice.backing ? { backing: choice.backing } : {}),
  });
}

/** The driver object of a node of {@link openOn}. */
export function driverOf(node: ImageNode): Qcow2Image {
  return driverBelow(node) as Qcow2Image;
}

/** Creates an image in `file`; external data files come from `data`. */
export async function createOn(
  file: Storage,
  options: Partial<CreateOptions>,
  data: () => Storage = () => memoryStorage(),
): Promise<void> {
  await qcow2.create?.(
    {
      file,
      filename: 'test.qcow2',
      services,
      createChild: async (_name: string, size: number) => {
        const storage = data();
        if (storage.size() < size) await storage.truncate(size);
        return storage;
      },
      openBacking: async () => {
        throw new Error('no backing images here');
      },
      warn: () => undefined,
    },
    { ...defaultsOf(createOptions), ...options },
  );
}
