import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { NodeFiles } from '../../src/host/node/file.ts';
import { type FileAccess, Permission } from '../../src/storage/files.ts';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';

const { consistentRead, write, writeUnchanged, resize } = Permission;
const writer: FileAccess = { used: consistentRead | write | resize, shared: consistentRead | writeUnchanged };
const reader: FileAccess = { used: consistentRead, shared: consistentRead | writeUnchanged };
const describing: FileAccess = { used: 0, shared: consistentRead | writeUnchanged };

/** What a real program says on its error output, or `fine`. */
function real(program: 'qemu-img' | 'qemu-io', ...options: string[]): string {
  try {
    execFileSync(oracleProgram(program), options, { encoding: 'utf8', stdio: 'pipe' });
    return 'fine';
  } catch (error) {
    return (error as { stderr: string }).stderr.trim();
  }
}

describeWithOracle('locks between qimg and the real programs', () => {
  let dir = '';
  let name = '';
  let holder: ChildProcess | undefined;

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'qimg-locks-'));
    name = join(dir, 'a.qcow2');
    execFileSync(oracleProgram('qemu-img'), ['create', '-q', '-f', 'qcow2', name, '1M']);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  afterEach(async () => {
    const process = holder;
    holder = undefined;
    if (!process || process.exitCode !== null) return;
    process.stdin?.end('quit\n');
    await new Promise((resolve) => process.once('exit', resolve));
  });

  /** Opens the image with qemu-io; resolves when it holds its locks. */
  async function hold(...options: string[]): Promise<void> {
    const child = spawn(oracleProgram('qemu-io'), [...options, name], { stdio: ['pipe', 'pipe', 'inherit'] });
    holder = child;
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (text: Buffer) => text.includes('qemu-io>') && resolve());
      child.once('exit', () => reject(new Error('qemu-io could not open the image')));
    });
  }

  // With the locks of the kernel, and with only its list of them.
  it.each([true, false])('a real writer keeps us out (C library: %s)', async (libc) => {
    const files = new NodeFiles({ libc });
    await hold();
    await expect(files.open(name, { writable: true, access: writer })).rejects.toMatchObject({
      message: 'Failed to get "write" lock',
      hint: `Is another process using the image [${name}]?`,
    });
    for (const access of [reader, describing]) {
      await expect(files.open(name, { writable: false, access })).rejects.toThrow('Failed to get shared "write" lock');
    }
    await expect(files.create(name, { size: 1, preallocation: 'off' })).rejects.toThrow('Failed to get "write" lock');
    await (await files.open(name, { writable: false })).close();
  });

  it.each([true, false])('a real reader keeps only our writers out (C library: %s)', async (libc) => {
    const files = new NodeFiles({ libc });
    await hold('-r');
    await (await files.open(name, { writable: false, access: reader })).close();
    await expect(files.open(name, { writable: true, access: writer })).rejects.toThrow('Failed to get "write" lock');
  });

  it('our writer keeps the real programs out', async () => {
    const handle = await new NodeFiles().open(name, { writable: true, access: writer });
    const question = `Is another process using the image [${name}]?`;
    expect(real('qemu-img', 'info', name)).toBe(
      `qemu-img: Could not open '${name}': Failed to get shared "write" lock\n${question}`,
    );
    expect(real('qemu-img', 'resize', name, '2M')).toBe(
      `qemu-img: Could not open '${name}': Failed to get "write" lock\n${question}`,
    );
    expect(real('qemu-img', 'info', '-U', name)).toBe('fine');
    await handle.setAccess(reader);
    expect(real('qemu-img', 'info', name)).toBe('fine');
    expect(real('qemu-io', '-c', 'write 0 512', name)).toContain('Failed to get "write" lock');
    await handle.setAccess({ used: 0, shared: 15 });
    expect(real('qemu-img', 'snapshot', '-c', 's', name)).toBe('fine');
    await handle.close();
  });
});
