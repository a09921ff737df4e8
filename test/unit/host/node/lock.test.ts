import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BlockError } from '../../../../src/base/error.ts';
import { NodeFiles } from '../../../../src/host/node/file.ts';
import { type FileAccess, Permission } from '../../../../src/storage/files.ts';

const { consistentRead, write, writeUnchanged, resize } = Permission;
const all = consistentRead | write | writeUnchanged | resize;
const writer: FileAccess = { used: consistentRead | write | resize, shared: consistentRead | writeUnchanged };
const reader: FileAccess = { used: consistentRead, shared: consistentRead | writeUnchanged };
const sharing: FileAccess = { used: consistentRead, shared: all };
const nothing: FileAccess = { used: 0, shared: all };

let dir = '';
let name = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'qimg-lock-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
beforeEach((context) => {
  name = join(dir, context.task.id);
  writeFileSync(name, 'content');
});

describe.each([true, false])('locks, C library: %s', (libc) => {
  const files = new NodeFiles({ libc });
  const open = (access: FileAccess) => files.open(name, { writable: true, access });

  async function refusal(access: FileAccess): Promise<BlockError> {
    const error = await open(access).then(
      (handle) => handle.close(),
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(BlockError);
    return error as BlockError;
  }

  it('keep a second writer and a reader out until the file is closed', async () => {
    const first = await open(writer);
    const second = await refusal(writer);
    expect(second).toMatchObject({
      kind: 'locked',
      message: 'Failed to get "write" lock',
      hint: `Is another process using the image [${name}]?`,
    });
    expect((await refusal(reader)).message).toBe('Failed to get shared "write" lock');
    await (await open(sharing).catch(() => first)).close();
    await first.close();
    const later = await open(writer);
    await later.close();
  });

  it('let readers share', async () => {
    const first = await open(reader);
    const second = await open(reader);
    expect((await refusal(writer)).message).toBe('Failed to get "write" lock');
    await second.close();
    await first.close();
  });

  it('are not looked at by those who ask for none', async () => {
    const first = await open(writer);
    const second = await files.open(name, { writable: true });
    const third = await open(nothing);
    for (const handle of [first, second, third]) await handle.close();
    expect(third.identity).toBe(first.identity);
  });

  it('can be changed, and stay as they were when they cannot', async () => {
    const first = await open(reader);
    const second = await open(sharing);
    expect(() => second.setAccess(writer)).toThrow('Failed to get "write" lock');
    // The refused attempt has left nothing behind that is in the way of others.
    const third = await open(reader);
    await third.close();
    await first.setAccess(nothing);
    await second.setAccess(writer);
    expect((await refusal(reader)).message).toBe('Failed to get shared "write" lock');
    await second.setAccess(sharing);
    const fourth = await open(reader);
    for (const handle of [first, second, fourth]) await handle.close();
  });

  it('keep a file from being created over one that is in use', async () => {
    const first = await open(reader);
    const create = () => files.create(name, { size: 512, preallocation: 'off' });
    await expect(create()).rejects.toMatchObject({ kind: 'locked', message: 'Failed to get "write" lock' });
    expect(first.size()).toBe(7);
    await first.close();
    await create();
    expect((await files.status(name)).size).toBe(512);
  });
});
