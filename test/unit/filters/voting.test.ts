import { array, assert, asyncProperty, constantFrom, integer, nat, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/base/error.ts';
import { TwinStorage } from '../../../src/filters/blkverify/twins.ts';
import { type Voting, VotingStorage } from '../../../src/filters/quorum/voting.ts';
import { CheckedStorage } from '../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';

const SIZE = 4096;

function copyOf(bytes: Uint8Array = new Uint8Array(SIZE)): CheckedStorage {
  return new CheckedStorage(new MemoryDriver(bytes.slice()), { name: 'copy', readOnly: false });
}

function quorumOf(copies: readonly CheckedStorage[], how: Partial<Voting> = {}): CheckedStorage {
  const voting = { threshold: 2, votes: true, verifies: false, rewrites: false, ...how };
  return new CheckedStorage(new VotingStorage(copies, voting), { name: 'quorum', readOnly: false });
}

async function contentOf(storage: CheckedStorage): Promise<Uint8Array> {
  const bytes = new Uint8Array(SIZE);
  await storage.read(0, bytes);
  return bytes;
}

const change = record({
  kind: constantFrom('write', 'zero', 'read', 'spoil'),
  offset: nat(SIZE - 1),
  length: integer({ min: 1, max: 600 }),
  value: integer({ min: 1, max: 255 }),
  copy: nat(2),
});

describe('quorum of three', () => {
  it('reads what a plain array of bytes holds, whatever happens to one copy', async () => {
    await assert(
      asyncProperty(nat(2), array(change, { maxLength: 25 }), async (bad, changes) => {
        const copies = [copyOf(), copyOf(), copyOf()];
        const quorum = quorumOf(copies);
        const model = new Uint8Array(SIZE);
        for (const { kind, offset, length, value } of changes) {
          const end = Math.min(SIZE, offset + length);
          const bytes = new Uint8Array(end - offset).fill(value);
          if (kind === 'spoil') await copies[bad]?.write(offset, bytes);
          else if (kind === 'write') {
            await quorum.write(offset, bytes);
            model.fill(value, offset, end);
          } else if (kind === 'zero') {
            await quorum.writeZeroes(offset, end - offset);
            model.fill(0, offset, end);
          } else {
            await quorum.read(offset, bytes);
            expect(bytes).toEqual(model.slice(offset, end));
          }
        }
        expect(await contentOf(quorum)).toEqual(model);
      }),
      { numRuns: 60 },
    );
  });

  it('is not readable where no two copies agree', async () => {
    const quorum = quorumOf([1, 2, 3].map((value) => copyOf(new Uint8Array(SIZE).fill(value))));
    await expect(contentOf(quorum)).rejects.toThrow('Input/output error');
  });

  it('puts right what the minority has, if it is told to', async () => {
    const copies = [copyOf(), copyOf(new Uint8Array(SIZE).fill(7)), copyOf()];
    await contentOf(quorumOf(copies, { rewrites: true }));
    expect(await contentOf(copies[1] as CheckedStorage)).toEqual(new Uint8Array(SIZE));
  });

  it('takes the first copy that can be read, if nobody votes', async () => {
    const copies = [1, 2].map((value) => copyOf(new Uint8Array(SIZE).fill(value)));
    const quorum = quorumOf(copies, { votes: false });
    expect((await contentOf(quorum))[0]).toBe(1);
    await copies[0]?.close();
    expect((await contentOf(quorum))[0]).toBe(2);
  });

  it('is written if enough copies are', async () => {
    const copies = [copyOf(), copyOf(), copyOf()];
    await copies[0]?.close();
    await quorumOf(copies).write(0, Uint8Array.of(5));
    expect((await contentOf(copies[2] as CheckedStorage))[0]).toBe(5);
    await expect(quorumOf(copies, { threshold: 3 }).write(0, Uint8Array.of(6))).rejects.toThrow(BlockError);
  });

  it('ends where two copies differ that are verified', async () => {
    const other = new Uint8Array(SIZE);
    other[100] = 1;
    const quorum = quorumOf([copyOf(), copyOf(other)], { verifies: true });
    await expect(contentOf(quorum)).rejects.toMatchObject({
      kind: 'mismatch',
      message: 'quorum: offset=0 bytes=4096 contents mismatch at offset 100',
    });
  });
});

describe('blkverify', () => {
  it('reads and writes as a plain array of bytes, and finds every difference', async () => {
    await assert(
      asyncProperty(array(change, { maxLength: 15 }), nat(SIZE - 1), async (changes, place) => {
        const [raw, test] = [copyOf(), copyOf()];
        const twins = new CheckedStorage(new TwinStorage(raw, test), { name: 'twins', readOnly: false });
        const model = new Uint8Array(SIZE);
        for (const { offset, length, value } of changes) {
          const end = Math.min(SIZE, offset + length);
          await twins.write(offset, new Uint8Array(end - offset).fill(value));
          model.fill(value, offset, end);
        }
        expect(await contentOf(twins)).toEqual(model);
        expect(await contentOf(raw)).toEqual(model);
        await test.write(place, Uint8Array.of((model[place] ?? 0) ^ 1));
        await expect(contentOf(twins)).rejects.toMatchObject({
          kind: 'mismatch',
          message: `blkverify: read offset=0 bytes=4096 contents mismatch at offset ${place}`,
        });
      }),
      { numRuns: 40 },
    );
  });

  it('ends where only one of the two fails', async () => {
    const [raw, test] = [copyOf(), copyOf()];
    const twins = new TwinStorage(raw, test);
    await raw.close();
    await expect(twins.write(0, Uint8Array.of(1))).rejects.toMatchObject({
      kind: 'mismatch',
      message: 'blkverify: write offset=0 bytes=1 return value mismatch 0 != -5',
    });
  });
});
