/** `inspect` and `--untrusted` of the program. */
import { describe, expect, it } from 'vitest';
import { main } from '../../../src/cli/main.ts';
import { drivers } from '../../../src/drivers.ts';
import { type MemoryFiles, MemoryLibrary } from '../../../src/testing.ts';
import { MemoryIo } from '../../support/memoryIo.ts';
import { runProgram } from '../../support/memoryProgram.ts';

async function overlay(): Promise<MemoryFiles> {
  const library = new MemoryLibrary({ implicitOpen: 'allow' });
  await library.createImage({ filename: 'base', format: 'qcow2', size: '1M' });
  await library.createImage({ filename: 'safe', format: 'qcow2', size: '1M' });
  const backing = { filename: 'base', format: 'qcow2' };
  await library.createImage({ filename: 'top', format: 'qcow2', backing });
  return library.files;
}

describe('inspect', () => {
  it('ends with 0 for a safe image, and says what the rules are', async () => {
    const { code, stdout, stderr } = await runProgram('inspect safe', drivers, await overlay());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('file format: qcow2\n');
    expect(stdout).toMatch(/^backing-file +pass$/m);
    expect(stdout).toMatch(/No rule is broken\.\n$/);
  });

  it('ends with 2 for one that is not, and tells programs why', async () => {
    const { code, stdout } = await runProgram('inspect --output=json top', drivers, await overlay());
    expect(code).toBe(2);
    const result: unknown = JSON.parse(stdout);
    expect(result).toMatchObject({ safe: false, format: 'qcow2', names: [{ role: 'backing file', name: 'base' }] });
    expect(result).toHaveProperty('checks');
  });

  it('ends with 1 for what cannot be looked at', async () => {
    const { code, stderr } = await runProgram('inspect none', drivers, await overlay());
    expect(code).toBe(1);
    expect(stderr).toMatch(/^qemu-img: Could not open 'none'/);
  });

  it('is not there under the name of the real program, nor in its help', async () => {
    const io = Object.assign(new MemoryIo(), { compatible: true });
    expect(await main(['inspect', 'x'], io)).toBe(1);
    expect(io.stderr).toBe("qemu-img: Command not found: inspect\nTry 'qemu-img --help' for more information\n");
    await main(['--help'], io);
    expect(io.stdout).not.toContain('inspect -');
    const own = new MemoryIo();
    await main(['--help'], own);
    expect(own.stdout).toContain('  inspect - ');
  });
});

describe('--untrusted', () => {
  it.each(['info x', 'check x', 'map x', 'measure x', 'compare x y', 'convert x y', 'dd if=x of=y', 'snapshot -l x'])(
    'of %s',
    async (line) => {
      const io = new MemoryIo();
      const [verb = '', ...rest] = line.split(' ');
      expect(await main([verb, '--untrusted', ...rest], io)).toBe(0);
      expect(io.requests[0]?.view.untrusted).toBe(true);
    },
  );
});
