import { expect, it } from 'vitest';
import { ioError } from '../../../../src/base/error.ts';
import { giveBack } from '../../../../src/block/kit/giveBack.ts';
import { CheckedStorage } from '../../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../../src/storage/memory.ts';

class Stubborn extends MemoryDriver {
  override discard(): void {
    throw ioError();
  }
}

it('space that cannot be given back is kept, and no operation fails for it', async () => {
  const stubborn = new CheckedStorage(new Stubborn(new Uint8Array(4096).fill(1)), { name: 'x', readOnly: false });
  expect(await giveBack(stubborn, 0, 4096)).toBe(false);
  const willing = new CheckedStorage(new MemoryDriver(new Uint8Array(4096).fill(1)), { name: 'y', readOnly: false });
  // What lies behind the end is not there to give.
  expect(await giveBack(willing, 2048, 65536)).toBe(true);
  expect(await giveBack(willing, 8192, 65536)).toBe(true);
  const bytes = new Uint8Array(4096);
  await willing.read(0, bytes);
  expect(bytes).toEqual(new Uint8Array(4096).fill(1, 0, 2048));
});
