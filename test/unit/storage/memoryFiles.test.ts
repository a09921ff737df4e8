import { describe, expect, it } from 'vitest';
import { Permission } from '../../../src/storage/files.ts';
import { MemoryFiles } from '../../../src/storage/memoryFiles.ts';

const { consistentRead, write, resize, writeUnchanged } = Permission;
const ALL = consistentRead | write | resize | writeUnchanged;

describe('files in memory', () => {
  it('keeps what is written, under its new name too', async () => {
    const files = new MemoryFiles();
    await files.create('a', { size: 4, preallocation: 'off' });
    const handle = await files.open('a', { writable: true });
    await handle.write?.(1, Uint8Array.of(7, 8));
    await files.rename('a', 'b');
    expect(files.names()).toEqual(['b']);
    expect([...files.bytes('b')]).toEqual([0, 7, 8, 0]);
    expect((await files.status('b')).identity).toBe(handle.identity);
  });

  it('says what is missing or in the way as the C library does', async () => {
    const files = new MemoryFiles();
    await expect(files.open('gone', { writable: false })).rejects.toThrow(
      "Could not open 'gone': No such file or directory",
    );
    files.put('a', 1);
    await expect(files.create('a', { size: 0, preallocation: 'off', exclusive: true })).rejects.toMatchObject({
      kind: 'exists',
    });
    expect(files.bytes('a')).toHaveLength(1);
  });

  it('has no way to write through a handle for reading', async () => {
    const files = new MemoryFiles();
    files.put('a', 8);
    expect(await files.open('a', { writable: false })).toHaveProperty('write', undefined);
  });

  it('keeps openers apart by their permissions, until they close', async () => {
    const files = new MemoryFiles();
    files.put('a', 8);
    const reader = { used: consistentRead, shared: consistentRead | writeUnchanged };
    const writer = { used: consistentRead | write | resize, shared: consistentRead | writeUnchanged };
    const first = await files.open('a', { writable: false, access: reader });
    await files.open('a', { writable: false, access: reader });
    await expect(files.open('a', { writable: true, access: writer })).rejects.toMatchObject({
      kind: 'locked',
      message: 'Failed to get "write" lock',
      hint: 'Is another process using the image [a]?',
    });
    const patient = await files.open('a', { writable: true, access: { used: 0, shared: ALL } });
    expect(() => patient.setAccess(writer)).toThrow('Failed to get "write" lock');
    await first.close();
    expect(() => patient.setAccess(writer)).toThrow('Failed to get "write" lock');
    files.put('b', 8);
    const only = await files.open('b', { writable: true, access: writer });
    await expect(files.open('b', { writable: false, access: reader })).rejects.toThrow(
      'Failed to get shared "write" lock',
    );
    await only.close();
    await files.open('b', { writable: false, access: reader });
  });

  it('fails on demand', async () => {
    const files = new MemoryFiles();
    files.put('a', 1024);
    files.inject('a', { operation: 'read', offset: 512, length: 1 });
    const handle = await files.open('a', { writable: false });
    await handle.read(0, new Uint8Array(512));
    expect(() => handle.read(0, new Uint8Array(513))).toThrow('Input/output error');
    files.heal('a');
    await handle.read(0, new Uint8Array(513));
  });
});
