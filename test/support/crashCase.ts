/** What has to hold for images after a power cut. */
import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';
import { equalBytes } from '../../src/base/bytes.ts';
import { BlockError } from '../../src/base/error.ts';
import type { ImageNode } from '../../src/block/node/node.ts';
import { check } from '../../src/operations/check.ts';
import type { OperationContext } from '../../src/operations/context.ts';
import type { ImageInput } from '../../src/operations/requests.ts';
import { openSource } from '../../src/operations/source.ts';
import type { OptionTree } from '../../src/options/tree.ts';
import type { MemoryFiles } from '../../src/storage/memoryFiles.ts';
import { type Crashed, crashDepth, crashes, RecordingFiles } from './crash.ts';
import { contextOn } from './qcow2Model.ts';

/** An image that a test looks at. */
export interface Watched {
  readonly filename: string;
  readonly format: string;
  /** Options that it is opened with, where the name and the format are not enough. */
  readonly imageOptions?: OptionTree;
  /**
   * How much of it is as before or as after the change, independently of the rest: bytes, `whole` for the image as a
   * whole. `absent`: it may also not be there, or be no image yet. `any`: the same, and it may hold anything, but is
   * sound.
   */
  readonly unit: number | 'whole' | 'any' | 'absent';
}

/** One change and what it is done to. */
export interface CrashCase {
  readonly images: readonly Watched[];
  /** Makes the images; what it leaves is on the disk. */
  prepare(context: OperationContext, files: MemoryFiles): Promise<void>;
  /** @param note takes content that the first image may have on the way. */
  act(context: OperationContext, note: (content: Uint8Array) => void): Promise<void>;
  /** Further conditions on a state. */
  verify?(context: OperationContext, label: string): Promise<void>;
  /** Lines of a check that tell no damage. */
  readonly harmless?: RegExp;
  /** The image says that it was not closed, and has to be opened for writing before it can be looked at. */
  readonly recovered?: boolean;
  /** The image was damaged before: it is no worse, and can be repaired. */
  readonly damaged?: boolean;
}

/** Content of an image and of its snapshots by name; the image has the name ''. */
type Contents = Map<string, Uint8Array>;

/** All guest bytes. */
export async function contentOf(node: ImageNode): Promise<Uint8Array> {
  const bytes = new Uint8Array(node.size());
  await node.read(0, bytes);
  return bytes;
}

/** The image as operations take it. */
function sourceOf({ filename, format, imageOptions }: Watched): ImageInput {
  return imageOptions ? { options: imageOptions } : { filename, format };
}

/** Content of an image and its snapshots. */
async function contentsOf(context: OperationContext, image: Watched): Promise<Contents> {
  const node = await openSource(context, sourceOf(image));
  try {
    const found: Contents = new Map([['', await contentOf(node)]]);
    const store = node.snapshots;
    for (const { name, id } of (await store?.list()) ?? []) {
      const view = await store?.view({ id });
      if (view) found.set(name, await contentOf(view));
    }
    return found;
  } finally {
    await node.close();
  }
}

/** Damage that a check finds; leaks and what is harmless are none. */
async function damageOf(context: OperationContext, image: Watched, harmless?: RegExp): Promise<string[]> {
  const lines: string[] = [];
  const request = {
    image: sourceOf(image),
    repair: 'none',
  } as const;
  const result = await check(context, request, { line: ({ text }) => lines.push(text) });
  if (result.kind === 'unsupported') return [];
  const bad = lines.filter((line) => line !== '' && !/leaked|Leaked|^\d+ leaked/.test(line) && !harmless?.test(line));
  if (result.kind === 'incomplete') bad.push('incomplete');
  if (result.kind === 'corrupt' && bad.length === 0 && !lines.some((line) => harmless?.test(line))) bad.push('corrupt');
  return bad;
}

function isOneOf(found: Uint8Array, known: readonly Uint8Array[], unit: number | 'whole'): boolean {
  if (!known.some(({ length }) => length === found.length)) return false;
  if (known.some((bytes) => equalBytes(found, bytes))) return true;
  if (unit === 'whole') return false;
  for (let at = 0; at < found.length; at += unit) {
    const end = Math.min(at + unit, found.length);
    const piece = found.subarray(at, end);
    if (!known.some((bytes) => equalBytes(piece, padded(bytes, at, end)))) return false;
  }
  return true;
}

function padded(bytes: Uint8Array, start: number, end: number): Uint8Array {
  if (end <= bytes.length) return bytes.subarray(start, end);
  const piece = new Uint8Array(end - start);
  piece.set(bytes.subarray(start, end));
  return piece;
}

/** The first byte that is as in none of them. */
function describe(found: Uint8Array, known: readonly Uint8Array[]): Record<string, unknown> {
  const at = found.findIndex((byte, i) => known.every((bytes) => byte !== (bytes[i] ?? 0)));
  const sizes = known.map(({ length }) => length);
  return { size: found.length, sizes, at, byte: found[at], bytes: known.map((bytes) => bytes[at]) };
}

/**
 * Does the change, cuts the power everywhere, and looks at what is left.
 * @returns how many different states there were.
 */
export async function expectSafe(item: CrashCase): Promise<number> {
  const files = new RecordingFiles();
  const context = contextOn(files);
  await item.prepare(context, files);
  const start = await files.start();
  const before = await allContents(context, item);
  files.changes.length = 0;
  const between: Uint8Array[] = [];
  await item.act(context, (content) => between.push(content));
  const changes = files.changes.slice();
  const after = await allContents(context, item);
  let states = 0;
  for (const crashed of crashes(start, changes, crashDepth())) {
    states++;
    try {
      await expectState(item, crashed, before, after, between);
    } catch (error) {
      if (error instanceof Error) error.message = `${crashed.label}: ${error.message}`;
      throw error;
    }
  }
  // What the long form adds up.
  const log = process.env['QIMG_CRASH_LOG'];
  if (log !== undefined) appendFileSync(log, `${states}\n`);
  return states;
}

function isOptional({ unit }: Watched): boolean {
  return unit === 'absent' || unit === 'any';
}

async function allContents(context: OperationContext, item: CrashCase): Promise<(Contents | undefined)[]> {
  const all: (Contents | undefined)[] = [];
  for (const image of item.images) {
    const found = await contentsOf(context, image).catch((error: unknown) => {
      if (isOptional(image) && error instanceof BlockError) return undefined;
      throw error;
    });
    all.push(found);
  }
  return all;
}

async function expectState(
  item: CrashCase,
  crashed: Crashed,
  before: readonly (Contents | undefined)[],
  after: readonly (Contents | undefined)[],
  between: readonly Uint8Array[],
): Promise<void> {
  const context = contextOn(crashed.files);
  for (const [index, image] of item.images.entries()) {
    if (item.recovered) await (await openSource(context, sourceOf(image), { writable: true })).close();
    const found = await contentsOf(context, image).catch((error: unknown) => {
      if (isOptional(image) && error instanceof BlockError && error.kind !== 'internal') return undefined;
      throw error;
    });
    if (!found) continue;
    expectContents(image, found, before[index] ?? new Map(), after[index] ?? new Map(), index === 0 ? between : []);
    if (!item.damaged) expect(await damageOf(context, image, item.harmless)).toEqual([]);
  }
  await item.verify?.(context, crashed.label);
  for (const image of item.images) if (image.format === 'qcow2') await expectRepairable(context, image);
}

function expectContents(
  image: Watched,
  found: Contents,
  before: Contents,
  after: Contents,
  between: readonly Uint8Array[],
): void {
  if (image.unit === 'any') return;
  for (const [name, bytes] of found) {
    const known = [before.get(name), after.get(name), ...(name === '' ? between : [])].filter(
      (one) => one !== undefined,
    );
    const unit = name !== '' || image.unit === 'absent' ? 'whole' : image.unit;
    // Views of snapshots are as large as the image is.
    const size = name === '' ? bytes.length : Math.min(bytes.length, known[0]?.length ?? 0);
    const [piece, ...parts] = name === '' ? [bytes, ...known] : [bytes, ...known].map((one) => one.subarray(0, size));
    if (piece && !isOneOf(piece, parts, unit)) expect({ name, ...describe(piece, parts) }).toEqual('old or new');
  }
  for (const name of before.keys()) if (after.has(name)) expect([...found.keys()]).toContain(name);
}

/** Whoever goes on with the image changes nothing but what it writes, and a repair leaves nothing to repair. */
async function expectRepairable(context: OperationContext, image: Watched): Promise<void> {
  const known = await contentsOf(context, image).catch(() => undefined);
  if (!known) return;
  const source = sourceOf(image);
  const node = await openSource(context, source, { writable: true });
  const size = node.size();
  await node.write(0, new Uint8Array(Math.min(size, 8192)).fill(0xee));
  await node.close();
  const written = await contentsOf(context, image);
  for (const [name, bytes] of known) {
    if (name === '') bytes.fill(0xee, 0, 8192);
    if (!equalBytes(written.get(name) ?? new Uint8Array(0), bytes))
      expect(`content of '${name}' after a write`).toBe('kept');
  }
  await check(context, { image: source, repair: 'all' });
  const result = await check(context, { image: source, repair: 'none' });
  expect(result.kind).toBe('clean');
  const repaired = await contentsOf(context, image);
  for (const [name, bytes] of known) {
    if (!equalBytes(repaired.get(name) ?? new Uint8Array(0), bytes))
      expect(`content of '${name}' after a repair`).toBe('kept');
  }
}
