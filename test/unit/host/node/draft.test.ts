import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { textOf } from '../../../../src/base/text.ts';
import { startDraft } from '../../../../src/host/node/draft.ts';
import { libc as systemLibc } from '../../../../src/host/node/ffi.ts';
import { unburied } from '../../../support/unburied.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'qimg-draft-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const names = (): string[] => readdirSync(folder).sort();

/** `BOOT-NAMESPACE-` of this process, as it is in the names of its parts. */
function owner(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '');
  return `${boot}-${readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')}-`;
}

/** The number of a process that has ended. */
function deadProcess(): number {
  return spawnSync('true').pid;
}

describe.each([
  { kind: 'without a name', libc: systemLibc() },
  { kind: 'with a temporary name', libc: undefined },
])('a draft $kind', ({ libc }) => {
  const named = libc === undefined;

  it('gets its name when it is published, with the mode of any new file', async () => {
    const draft = startDraft(at('new'), { replace: false, libc });
    expect(names().length).toBe(named ? 1 : 0);
    writeFileSync(draft.at, 'content');
    await draft.publish();
    expect(names()).toEqual(['new']);
    expect(readFileSync(at('new'), 'utf8')).toBe('content');
    writeFileSync(at('ordinary'), '');
    expect(statSync(at('new')).mode).toBe(statSync(at('ordinary')).mode);
  });

  it('leaves nothing when it is given up, also by a library that goes on', async () => {
    const draft = startDraft(at('new'), { replace: false, libc });
    await draft.discard();
    expect(names()).toEqual([]);
  });

  it('takes the place of a file that came into being meanwhile', async () => {
    const draft = startDraft(at('new'), { replace: false, libc });
    writeFileSync(draft.at, 'ours');
    writeFileSync(at('new'), 'theirs');
    await draft.publish();
    expect(names()).toEqual(['new']);
    expect(readFileSync(at('new'), 'utf8')).toBe('ours');
  });

  it('that cannot be published leaves nothing', async () => {
    const draft = startDraft(at('new'), { replace: false, libc });
    mkdirSync(at('new/inside'), { recursive: true });
    await expect(draft.publish()).rejects.toThrow(`Could not create '${at('new')}': Is a directory`);
    await draft.discard();
    expect(names()).toEqual(['new']);
  });

  it('keeps mode and owner of the file that it replaces, which a link may lead to', async () => {
    const root = process.getuid?.() === 0;
    writeFileSync(at('old'), 'old');
    if (root) chownSync(at('old'), 12, 13);
    chmodSync(at('old'), 0o640);
    mkdirSync(at('links'));
    symlinkSync('../old', at('links/link'));
    const draft = startDraft(at('links/link'), { replace: true, libc });
    writeFileSync(draft.at, 'new');
    expect(readFileSync(at('old'), 'utf8')).toBe('old');
    await draft.publish();
    expect(readFileSync(at('old'), 'utf8')).toBe('new');
    expect(readlinkSync(at('links/link'))).toBe('../old');
    const { mode, uid, gid } = statSync(at('old'));
    expect(mode % 0o10000).toBe(0o640);
    if (root) expect([uid, gid]).toEqual([12, 13]);
    expect(names()).toEqual(['links', 'old']);
  });

  it.each([
    { what: 'of 255 bytes', bytes: Buffer.alloc(255, 'n') },
    { what: 'that is not UTF-8', bytes: Buffer.from([0x61, 0xff, 0xe4, 0x62]) },
  ])('has room for a name $what', async ({ bytes }) => {
    const draft = startDraft(at(textOf(bytes)), { replace: false, libc });
    await draft.publish();
    expect(readdirSync(folder, { encoding: 'buffer' })).toEqual([bytes]);
    // And once more in the place of that.
    await startDraft(at(textOf(bytes)), { replace: true, libc }).publish();
    expect(readdirSync(folder, { encoding: 'buffer' })).toEqual([bytes]);
  });

  it('fails like the creation of a file where there is no directory', () => {
    const name = at('nowhere/new');
    expect(() => startDraft(name, { replace: false, libc })).toThrow(
      `Could not create '${name}': No such file or directory`,
    );
  });
});

test('parts of processes that are gone are removed, and nothing else', async () => {
  const dead = `.qimg-${owner()}${deadProcess()}-0123456789abcdef.part`;
  const kept = [
    // Another process that lives, this one, another boot, another namespace, no pattern of ours.
    `.qimg-${owner()}${process.ppid}-0123456789abcdef.part`,
    `.qimg-${owner()}${process.pid}-0123456789abcdef.part`,
    `.qimg-${'0'.repeat(32)}-${owner().slice(33)}${deadProcess()}-0123456789abcdef.part`,
    `.qimg-${owner().slice(0, 33)}1-${deadProcess()}-0123456789abcdef.part`,
    `.qimg-${owner()}${deadProcess()}-0123456789abcde.part`,
    `x.qimg-${owner()}${deadProcess()}-0123456789abcdef.part`,
    '.qimg-0123456789abcdef.part',
  ];
  for (const name of [dead, ...kept]) writeFileSync(at(name), '');
  const link = `.qimg-${owner()}${deadProcess()}-1123456789abcdef.part`;
  symlinkSync('victim', at(link));
  writeFileSync(at('victim'), '');
  const directory = `.qimg-${owner()}${deadProcess()}-2123456789abcdef.part`;
  mkdirSync(at(directory));
  const draft = startDraft(at('new'), { replace: false, libc: undefined });
  await draft.discard();
  expect(existsSync(at(dead))).toBe(false);
  expect(names()).toEqual([...kept, link, directory, 'victim'].sort());
});

test('a part of a process that has ended, and that nobody has buried, is removed', async () => {
  const { pid, bury } = await unburied();
  try {
    writeFileSync(at(`.qimg-${owner()}${pid}-0123456789abcdef.part`), '');
    await startDraft(at('new'), { replace: false, libc: undefined }).discard();
    expect(names()).toEqual([]);
  } finally {
    bury();
  }
});

test('a part that somebody has locked is not removed, whatever its number says', async () => {
  const libc = systemLibc();
  if (!libc) throw new Error('no C library');
  const { NodeFiles } = await import('../../../../src/host/node/file.ts');
  const name = `.qimg-${owner()}${deadProcess()}-0123456789abcdef.part`;
  writeFileSync(at(name), '');
  const holder = await new NodeFiles().open(at(name), { writable: true, access: { used: 1, shared: 15 } });
  await startDraft(at('new'), { replace: false, libc }).discard();
  expect(names()).toEqual([name]);
  await holder.close();
  await startDraft(at('new'), { replace: false, libc }).discard();
  expect(names()).toEqual([]);
});

test('where names cannot be given later, the file has one from the start', async () => {
  const libc = systemLibc();
  if (!libc) throw new Error('no C library');
  // What a confined program hears.
  const confined = { ...libc, link: () => -13 };
  const draft = startDraft(at('new'), { replace: false, libc: confined });
  expect(names()).toHaveLength(1);
  await draft.publish();
  expect(names()).toEqual(['new']);
});
