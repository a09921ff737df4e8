/** Creates images of all subformats. */
import { asBlockError, invalidArgument } from '../../base/error.ts';
import { divideUp, GiB, SECTOR } from '../../base/offset.ts';
import type { CreateContext } from '../../block/format.ts';
import type { OptionValues } from '../../options/table.ts';
import type { Storage } from '../../storage/storage.ts';
import { encodeDescriptor, NO_CID } from './descriptor.ts';
import type { createOptions } from './options.ts';
import {
  DESCRIPTOR_OFFSET,
  DESCRIPTOR_SECTORS,
  encodeHeader,
  layoutOf,
  type SparseLayout,
  TABLE_ENTRIES,
} from './header.ts';

const ADAPTERS = ['ide', 'buslogic', 'lsilogic', 'legacyESX'];
const SUBFORMATS = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'streamOptimized',
] as const;
/** Largest extent of the twoGb subformats. */
const SPLIT = 2 * GiB;
/** Bytes of a directory that are written at a time. */
const BATCH = 1048576;

/** Values of {@link createOptions}. */
type CreateOptions = OptionValues<typeof createOptions>;

/** Checked options. */
interface Plan {
  readonly sectors: number;
  readonly subformat: (typeof SUBFORMATS)[number];
  readonly adapterType: string;
  readonly hardwareVersion: string;
  readonly toolsVersion: string;
  readonly zeroedGrains: boolean;
  readonly flat: boolean;
  readonly split: boolean;
  readonly backing: string | undefined;
}

/** Options in the order in which the real tool complains about them. */
function planOf(options: CreateOptions): Plan {
  const format = options.backing_fmt;
  if (format !== undefined && format !== 'vmdk') throw invalidArgument('backing_file must be a vmdk image');
  const adapterType = options.adapter_type ?? 'ide';
  if (!ADAPTERS.includes(adapterType)) throw invalidArgument(`invalid parameter value: ${adapterType}`);
  const wanted = options.subformat ?? 'monolithicSparse';
  const subformat = SUBFORMATS.find((known) => known === wanted);
  if (!subformat) throw invalidArgument(`invalid parameter value: ${wanted}`);
  const version = options.hwversion;
  const compat6 = options.compat6;
  if (compat6 && version !== 'undefined') throw invalidArgument('compat6 cannot be enabled with hwversion set');
  const flat = subformat.endsWith('Flat');
  const backing = options.backing_file;
  if (flat && backing !== undefined) throw invalidArgument("Flat image can't have backing file");
  const zeroedGrains = options.zeroed_grain === true;
  if (flat && zeroedGrains) throw invalidArgument("Flat image can't enable zeroed grain");
  return {
    sectors: divideUp(options.size ?? 0, SECTOR),
    subformat,
    adapterType,
    hardwareVersion: compat6 ? '6' : version === 'undefined' ? '4' : version,
    toolsVersion: options.toolsversion ?? '2147483647',
    zeroedGrains,
    flat,
    split: subformat.startsWith('twoGb'),
    backing,
  };
}

/** Writes an empty image. @throws BlockError with the real tool's wording for options that do not fit. */
export async function create(context: CreateContext, options: CreateOptions): Promise<void> {
  const plan = planOf(options);
  const parent = plan.backing === undefined ? NO_CID : await parentId(context, plan.backing);
  const single = !plan.flat && !plan.split;
  const extents = single
    ? [`RW ${plan.sectors} SPARSE "${baseName(context.filename)}"`]
    : await createExtents(context, plan);
  const descriptor = encodeDescriptor({
    contentId: randomId(context),
    parentContentId: parent,
    createType: plan.subformat,
    parentName: plan.backing,
    extents,
    hardwareVersion: plan.hardwareVersion,
    toolsVersion: plan.toolsVersion,
    adapterType: plan.adapterType,
    sectors: plan.sectors,
  });
  if (!single) return context.file.write(0, descriptor);
  if (descriptor.length > DESCRIPTOR_SECTORS * SECTOR) throw invalidArgument('the descriptor is too long');
  await writeSparse(context.file, plan.sectors * SECTOR, plan);
  await context.file.write(DESCRIPTOR_OFFSET, descriptor);
}

/** A content id that does not mean "none". */
function randomId(context: CreateContext): number {
  const random = new Uint8Array(4);
  context.services.random(random);
  return new DataView(random.buffer).getUint32(0) % 0xfffffffe;
}

async function parentId(context: CreateContext, name: string): Promise<number> {
  let backing: Awaited<ReturnType<CreateContext['openBacking']>>;
  try {
    backing = await context.openBacking(name, undefined);
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(error.message.replace(/^(Could not open '.*': )\1/s, '$1'));
  }
  const { specific } = await backing.info();
  if (specific?.type === 'vmdk') return Number(specific.data['cid']);
  throw invalidArgument(`Invalid backing file format: ${backing.format}. Must be vmdk`);
}

/** The last part of a file name. */
function baseName(filename: string): string {
  return filename.slice(Math.max(filename.lastIndexOf('/') + 1, filename.startsWith('file:') ? 5 : 0));
}

/** Name of an extent: `disk.vmdk` becomes `disk-f001.vmdk`. */
function extentName(filename: string, suffix: string): string {
  const base = baseName(filename);
  const dot = base.lastIndexOf('.');
  return dot < 0 ? `${base}-${suffix}` : `${base.slice(0, dot)}-${suffix}${base.slice(dot)}`;
}

/** Creates the extents' files; returns their lines for the descriptor. */
async function createExtents(context: CreateContext, plan: Plan): Promise<string[]> {
  const lines: string[] = [];
  const total = plan.sectors * SECTOR;
  const step = plan.split ? SPLIT : total;
  for (let at = 0; at < total; at += step) {
    const bytes = Math.min(step, total - at);
    const number = String(lines.length + 1).padStart(3, '0');
    const name = extentName(context.filename, plan.split ? `${plan.flat ? 'f' : 's'}${number}` : 'flat');
    const file = await context.createChild(name, plan.flat ? bytes : 0);
    if (!plan.flat) await writeSparse(file, bytes, plan);
    const line = `RW ${bytes / SECTOR} ${plan.flat ? 'FLAT' : 'SPARSE'} "${name}"`;
    lines.push(plan.flat ? `${line} 0` : line);
  }
  return lines;
}

/** Writes a sparse extent without grains: all tables are there already, and empty. */
async function writeSparse(file: Storage, capacity: number, plan: Plan): Promise<void> {
  const layout = layoutOf(capacity);
  await file.truncate(layout.overhead);
  await writeDirectory(file, layout, layout.redundantOffset);
  await writeDirectory(file, layout, layout.directoryOffset);
  const compressed = plan.subformat === 'streamOptimized';
  await file.write(0, encodeHeader(layout, { compressed, zeroedGrains: plan.zeroedGrains }));
}

/** A directory whose tables follow it. */
async function writeDirectory(file: Storage, layout: SparseLayout, offset: number): Promise<void> {
  const first = (offset + layout.directoryBytes) / SECTOR;
  const tableSectors = (TABLE_ENTRIES * 4) / SECTOR;
  const perBatch = BATCH / 4;
  for (let done = 0; done < layout.directoryEntries; done += perBatch) {
    const count = Math.min(perBatch, layout.directoryEntries - done);
    const view = new DataView(new ArrayBuffer(count * 4));
    for (let i = 0; i < count; i++) view.setUint32(i * 4, first + (done + i) * tableSectors, true);
    await file.write(offset + done * 4, new Uint8Array(view.buffer));
  }
}
