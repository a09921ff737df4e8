/** `qimg/testing` where there is nothing of Node: bundled for browsers, in a realm with the language and little else. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';

const entry = resolve(import.meta.dirname, '../../src/testing.ts');

/** What the host is promised to do with, besides the language; random bytes, but no WebCrypto. */
const PLATFORM = {
  TextEncoder,
  TextDecoder,
  setTimeout,
  clearTimeout,
  crypto: { getRandomValues: crypto.getRandomValues.bind(crypto) },
};

/** Runs in the bare realm; the result is JSON. */
const SCENARIO = `(async () => {
  const files = new qimg.MemoryFiles();
  const secrets = new qimg.MapSecretStore();
  secrets.set('key', 'password');
  secrets.set('wrong', 'pass');
  const library = new qimg.ImageLibrary(qimg.drivers, { ...qimg.memoryServices(files), secrets });
  const raw = { filename: 'a.raw', format: 'raw' };
  const luks = (key) => ({ options: { driver: 'luks', 'key-secret': key, file: { driver: 'file', filename: 'b.luks' } } });

  await library.createImage({ filename: 'a.raw', format: 'raw', size: '3M' });
  const node = await library.openImage(raw, { writable: true });
  await node.write(70_000, Uint8Array.from({ length: 1_500_000 }, (_, at) => (at % 251) + (at >> 14)));
  await node.close();

  const done = {};
  await library.convert({ source: raw, target: { filename: 'b.qcow2', format: 'qcow2' }, compress: true });
  done.smaller = files.bytes('b.qcow2').length < 1_500_000;
  done.checked = (await library.check({ image: 'b.qcow2' })).findings;
  await library.convert({ source: 'b.qcow2', target: { filename: 'c.raw', format: 'raw' } });
  done.same = (await library.compare({ first: raw, second: { filename: 'c.raw', format: 'raw' } })).kind;
  done.equal = String(files.bytes('a.raw')) === String(files.bytes('c.raw'));

  const options = { 'key-secret': 'key', 'iter-time': 1 };
  await library.convert({ source: raw, target: { filename: 'b.luks', format: 'luks' }, options });
  done.decrypted = (await library.compare({ first: raw, second: luks('key') })).kind;
  done.refused = await library.info({ image: luks('key') }).then(() => library.openImage(luks('wrong'))).catch(String);
  qimg.kept = files;
  return JSON.stringify(done);
})()`;

describe('a bare realm', () => {
  const realm: Record<string, unknown> = { ...PLATFORM };
  let modules: readonly string[] = [];
  let directory = '';

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'qimg-bare-'));
    const bundle = await rolldown({ input: entry, platform: 'browser', logLevel: 'silent' });
    const { output } = await bundle.generate({ format: 'iife', name: 'qimg', codeSplitting: false });
    await bundle.close();
    modules = output[0].imports.concat(output[0].dynamicImports, Object.keys(output[0].modules));
    createContext(realm);
    runInContext(output[0].code, realm);
  }, 60_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('has nothing of Node, and the bundle asks for nothing of it', () => {
    const names = ['process', 'Buffer', 'require', 'setImmediate', 'fetch', 'performance'];
    expect(runInContext(`${JSON.stringify(names)}.filter((name) => name in globalThis)`, realm)).toHaveLength(0);
    expect(modules.filter((name) => name.startsWith('node:') || /\/src\/(?:host\/node|cli)\//.test(name))).toEqual([]);
    expect(modules.filter((name) => name.includes('/src/host/portable/')).length).toBeGreaterThan(3);
  });

  it('creates, converts to compressed qcow2 and back, compares, and encrypts with a password', async () => {
    const result = (await runInContext(SCENARIO, realm)) as string;
    expect(JSON.parse(result)).toEqual({
      smaller: true,
      checked: expect.objectContaining({ corruptions: 0, leaks: 0 }) as unknown,
      same: 'identical',
      equal: true,
      decrypted: 'identical',
      refused: expect.stringContaining('Invalid password, cannot unlock any keyslot') as unknown,
    });
  }, 60_000);

  describeWithOracle('and the real program', () => {
    it('reads what was written there', () => {
      for (const name of ['a.raw', 'b.qcow2', 'b.luks']) {
        const bytes = runInContext(`qimg.kept.bytes('${name}')`, realm) as Uint8Array;
        writeFileSync(join(directory, name), bytes);
      }
      const compare = (...args: string[]): string =>
        execFileSync(oracleProgram('qemu-img'), ['compare', ...args], { cwd: directory, encoding: 'utf8' });
      expect(compare('-f', 'raw', '-F', 'qcow2', 'a.raw', 'b.qcow2')).toBe('Images are identical.\n');
      const luks = 'driver=luks,key-secret=key,file.filename=b.luks';
      const secret = ['--object', 'secret,id=key,data=password'];
      const raw = 'driver=raw,file.filename=a.raw';
      expect(compare(...secret, '--image-opts', raw, luks)).toBe('Images are identical.\n');
    });
  });
});
