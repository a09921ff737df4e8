/** Damaged LUKS headers never end in anything but data or one clear error, and reading never writes. */
import * as fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { BlockError } from '../../src/base/error.ts';
import { luks } from '../../src/formats/luks/driver.ts';
import { qcow2 } from '../../src/formats/qcow2/driver.ts';
import { memoryStorage } from '../../src/storage/memory.ts';
import { createEncrypted, openEncrypted } from '../support/luks.ts';

const SMALL = { 'cipher-alg': 'aes-128', 'cipher-mode': 'cbc', 'iter-time': 0, 'key-secret': 'a', size: 4096 };
const INSIDE = Object.fromEntries(Object.entries(SMALL).map(([name, value]) => [`encrypt.${name}`, value]));

async function bytesOf(format: typeof luks, options: object): Promise<Uint8Array> {
  const file = memoryStorage();
  await createEncrypted(format, file, options as never);
  const bytes = new Uint8Array(file.size());
  await file.read(0, bytes);
  return bytes;
}

let volume: Uint8Array;
let image: Uint8Array;
beforeAll(async () => {
  volume = await bytesOf(luks, SMALL);
  const { 'encrypt.size': _, ...options } = INSIDE;
  image = await bytesOf(qcow2, { ...options, 'encrypt.format': 'luks', cluster_size: 512, size: 4096 });
});

/** Where the header has the upper halves of iteration counts: of the master key's digest, and of the slots. */
const ITERATIONS = [164, ...Array.from({ length: 8 }, (_, slot) => 212 + slot * 48)];

/** Bytes to overwrite within the header; numbers that are large, small or close to each other do most harm. */
const damage = fc.array(
  fc.record({
    at: fc.nat(591),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      fc.constantFrom(Uint8Array.of(255, 255, 255, 255), Uint8Array.of(0, 0, 0, 0), Uint8Array.of(0, 0, 0, 1)),
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

async function tolerate(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof BlockError) || error.kind === 'internal') throw error;
  }
}

it.each(['luks', 'qcow2'])('%s', async (name) => {
  const format = name === 'luks' ? luks : qcow2;
  const options = name === 'luks' ? { 'key-secret': 'a' } : { 'encrypt.key-secret': 'a' };
  const good = name === 'luks' ? volume : image;
  // The LUKS header is in the clusters behind header, refcounts and L1 table.
  const start = name === 'luks' ? 0 : good.findIndex((_, i) => good[i] === 0x4c && good[i + 4] === 0xba);
  await fc.assert(
    fc.asyncProperty(damage, fc.option(fc.nat(good.length)), async (changes, length) => {
      const bytes = good.slice(0, length ?? good.length);
      for (const change of changes) {
        if (start + change.at + 4 <= bytes.length) bytes.set(change.bytes, start + change.at);
      }
      // The limit of iterations allows for minutes of work, which nobody wants to wait for here.
      for (const at of ITERATIONS) if (start + at + 2 <= bytes.length) bytes.fill(0, start + at, start + at + 2);
      const before = bytes.slice();
      const file = memoryStorage(bytes);
      await tolerate(() => openEncrypted(format, file, { intent: 'info', readOnly: true }));
      await tolerate(async () => {
        const node = await openEncrypted(format, file, { options, readOnly: true });
        await node.read(0, new Uint8Array(Math.min(node.size(), 8192)));
        await node.close();
      });
      const after = new Uint8Array(file.size());
      await file.read(0, after);
      expect(Buffer.compare(after, before)).toBe(0);
    }),
    { numRuns: 60 },
  );
});
