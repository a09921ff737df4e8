import { describe, expect, it } from 'vitest';
import type { ImageDriver } from '../../../../src/block/capabilities.ts';
import type { CreateContext, MeasureContext, OpenContext } from '../../../../src/block/format.ts';
import { raw } from '../../../../src/formats/raw/driver.ts';
import { memoryStorage } from '../../../../src/storage/memory.ts';
import type { Storage } from '../../../../src/storage/storage.ts';

function open(file: Storage, options: OpenContext['options'] = {}): Promise<ImageDriver> {
  return raw.open({ file, options, filename: 'x', readOnly: false, intent: 'io' } as OpenContext);
}

describe('raw images', () => {
  it('are their storage', async () => {
    const file = memoryStorage(new Uint8Array(2048));
    const image = await open(file);
    expect(image.virtualSize).toBe(2048);
    expect(await image.map(512, 1024)).toEqual({
      kind: 'data',
      length: 1024,
      storage: file,
      offset: 512,
      sparse: true,
    });
    await image.writing?.resize?.(4096, 'off', false);
    expect([image.virtualSize, file.size()]).toEqual([4096, 4096]);
  });

  it('can be windows', async () => {
    const file = memoryStorage(new Uint8Array(4096));
    const image = await open(file, { offset: 512, size: 1024 });
    expect(image.virtualSize).toBe(1024);
    expect(await image.map(0, 1024)).toMatchObject({ offset: 512 });
    expect(await image.writing?.allocate(100, 10)).toMatchObject({ start: 100, offset: 612, fresh: false });
    await expect(image.writing?.resize?.(2048, 'off', false)).rejects.toThrow('Cannot resize fixed-size raw disks');
    const open2 = await open(file, { offset: 1024 });
    await open2.writing?.resize?.(512, 'off', false);
    expect(file.size()).toBe(1536);
  });

  it.each([
    [{ offset: 4097 }, 'Offset (4097) cannot be greater than size of the containing file (4096)'],
    [
      { offset: 512, size: 4096 },
      'The sum of offset (512) and size (4096) has to be smaller or equal to the  actual size of the containing file (4096)',
    ],
    [{ size: 513 }, 'Specified size is not multiple of 512'],
  ])('refuse windows that do not fit: %j', async (options, message) => {
    await expect(open(memoryStorage(4096), options)).rejects.toThrow(message);
  });

  it('are created in whole sectors', async () => {
    const file = memoryStorage();
    await raw.create?.({ file } as unknown as CreateContext, { size: 1000 });
    expect(file.size()).toBe(1024);
    expect(await raw.measure?.({ virtualSize: 1000 } as MeasureContext, {})).toEqual({
      required: 1024,
      fullyAllocated: 1024,
    });
  });
});
