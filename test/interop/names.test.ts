/** The program as a process with names that are no UTF-8, also where there is no `/proc`. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeWithOracle, oracleProgram } from '../support/oracle.ts';
import { ourProgram, run } from '../support/program.ts';
import { because } from '../support/skip.ts';
import { onlyNode } from '../support/standalone.ts';

describeWithOracle('names that are no UTF-8', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'qimg-names-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  /** Runs lines of a shell; `$img` is the program. */
  async function shell(program: string, lines: string, folder = dir): Promise<string> {
    const { stdout, stderr } = await run('/bin/sh', ['-c', `exec 2>&1\n${lines}`], {
      cwd: folder,
      env: { img: program, LC_ALL: 'C' },
    });
    expect(stderr).toBe('');
    return stdout;
  }

  const steps = String.raw`
    a=$(printf 'disk\351') b=$(printf 'disk\350') all=$(printf '\001\002\177\200\277\300\355\240\200\364\220\200\200\376\377')
    "$img" create -q -f qcow2 "$a" 1M
    "$img" create -q -f qcow2 -b "$a" -F qcow2 "$b"
    "$img" create -q -f raw "$all" 512
    "$img" info "$b" | grep -a -e image -e backing | od -c
    "$img" info "$all" | head -n 1 | od -c
    "$img" info "gone$all" | od -c
    ls | od -c`;

  it('are files of their own, and come back as they are', async () => {
    const [theirs, ours] = [join(dir, 'theirs'), join(dir, 'ours')];
    mkdirSync(theirs);
    mkdirSync(ours);
    expect(await shell(ourProgram(), steps, ours)).toBe(await shell(oracleProgram('qemu-img'), steps, theirs));
    const names = readdirSync(ours, 'latin1').filter((name) => name.startsWith('disk'));
    expect(names.sort()).toEqual(['disk\xe8', 'disk\xe9']);
  });

  const noProc = onlyNode('Bun itself does not start without /proc');
  it.skipIf(noProc !== undefined)(`are read from memory where there is no /proc${because(noProc)}`, async () => {
    // A place of its own for mounts needs root, or a kernel that lets users be root in a space of their own.
    const unshare = process.getuid?.() === 0 ? 'unshare -m' : 'unshare -rm';
    await shell(ourProgram(), '"$img" --version');
    const line = String.raw`
      name=$(printf 'x\351'); export img name
      ${unshare} sh -c 'mount -t tmpfs none /proc && "$img" create -q -f raw "$name" 512'`;
    expect(await shell(ourProgram(), line)).toBe('');
    expect(readdirSync(dir, 'latin1')).toEqual(['x\xe9']);
  });
});
