/** The power goes while an encrypted image or its key slots change: a key that was good stays so, and so do the bytes. */
import { describe, expect, it } from 'vitest';
import type { ImageNode } from '../../src/block/node/node.ts';
import { amend } from '../../src/operations/amend.ts';
import type { OperationContext } from '../../src/operations/context.ts';
import { create } from '../../src/operations/create.ts';
import { openSource } from '../../src/operations/source.ts';
import type { OptionTree } from '../../src/options/tree.ts';
import { expectSafe, type Watched } from '../support/crashCase.ts';
import { pattern } from '../support/qcow2Model.ts';

const SIZE = 65536;
const file = { driver: 'file', filename: 'a.img' };

/** How an image is opened with a secret. */
function withKey(format: string, secret: string): OptionTree {
  const option = format === 'luks' ? 'key-secret' : 'encrypt.key-secret';
  return { driver: format, [option]: secret, file };
}

function watched(format: string, unit: Watched['unit']): Watched[] {
  return [{ filename: 'a.img', format, imageOptions: withKey(format, 'key'), unit }];
}

async function edit(context: OperationContext, format: string, body: (node: ImageNode) => Promise<void>) {
  const node = await openSource(context, { options: withKey(format, 'key') }, { writable: true });
  await body(node);
  await node.close();
}

async function change(context: OperationContext, format: string, settings: Readonly<Record<string, string>>) {
  const prefix = format === 'luks' ? '' : 'encrypt.';
  const options = Object.entries(settings).map(([name, value]) => ({ name: prefix + name, value }));
  const image = { options: withKey(format, 'key') };
  await amend(context, { image, options });
}

/** Whether a secret opens the image. */
async function opens(context: OperationContext, format: string, secret: string): Promise<boolean> {
  const opened = openSource(context, { options: withKey(format, secret) });
  return opened.then(
    async (node) => {
      await node.close();
      return true;
    },
    () => false,
  );
}

const ADDED = { state: 'active', 'new-secret': 'other', 'iter-time': '1' };

async function prepare(context: OperationContext, format: string): Promise<void> {
  const settings =
    format === 'luks'
      ? { 'key-secret': 'key', 'iter-time': '1' }
      : { cluster_size: '4096', 'encrypt.format': 'luks', 'encrypt.key-secret': 'key', 'encrypt.iter-time': '1' };
  const options = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await create(context, { filename: 'a.img', format, options, size: SIZE });
  await edit(context, format, async (node) => node.write(0, pattern(0, 6144, 1)));
}

it('a write to luks', async () => {
  await expectSafe({
    images: watched('luks', 512),
    prepare: (context) => prepare(context, 'luks'),
    act: (context) => edit(context, 'luks', async (node) => node.write(4096, pattern(4096, 6144, 2))),
  });
});

describe.each(['luks', 'qcow2'])('%s', (format) => {
  it('another key', async () => {
    const states: boolean[] = [];
    await expectSafe({
      images: watched(format, 'whole'),
      prepare: (context) => prepare(context, format),
      act: (context) => change(context, format, ADDED),
      verify: async (context) => {
        states.push(await opens(context, format, 'other'));
      },
    });
    expect(new Set(states)).toEqual(new Set([false, true]));
  });

  it('a key that is erased', async () => {
    const states: boolean[] = [];
    await expectSafe({
      images: watched(format, 'whole'),
      prepare: async (context) => {
        await prepare(context, format);
        await change(context, format, ADDED);
      },
      act: (context) => change(context, format, { state: 'inactive', 'old-secret': 'other' }),
      verify: async (context) => {
        states.push(await opens(context, format, 'other'));
      },
    });
    expect(new Set(states)).toEqual(new Set([false, true]));
  });
});
