/** What a VMDK descriptor says that matters before an image of somebody else is opened (CVE-2022-47951). */
import { littleEndian } from '../../base/bytes.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { FormatInspector, Inspection } from '../../block/inspection.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import {
  createType,
  type DescriptorText,
  descriptorText,
  MAX_DESCRIPTOR,
  NO_CID,
  parentContentId,
  parentName,
} from './descriptor.ts';
import { footerOf, hasMagic, HEADER_SIZE, refersToFooter } from './header.ts';

/** Kinds whose data is in the file itself. */
const SELF_CONTAINED: readonly string[] = ['monolithicSparse', 'streamOptimized'];
/** What a line of a descriptor may look like: comments, settings, and extents. */
const LINE = /^(\s*|#.*|\s*[\w.]+\s*=.*|(?:RW|RDONLY|NOACCESS)\s.*)$/;
const EXTENT = /^(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)(?:\s+"([^"]*)")?/;
/** Versions of sparse headers. */
const LAST_VERSION = 3;

/** Looks at the header, the descriptor, and the footer of a stream. */
export const inspect: FormatInspector = async (file, inspection) => {
  const head = await readAt(file, 0, HEADER_SIZE);
  if (hasMagic(head, 'COWD')) {
    inspection.fail('extents', 'the file is a part of an image of ESX Server');
    return;
  }
  const fields = littleEndian(head);
  if (!hasMagic(head, 'KDMV')) {
    inspectDescriptor(descriptorText(await readAt(file, 0, Math.min(file.size(), MAX_DESCRIPTOR))), inspection);
    return;
  }
  const version = fields.u32(4);
  if (version < 1 || version > LAST_VERSION) inspection.fail('features', `version ${version} is unknown`);
  const [offset, length] = [fields.u64lossy(28) * SECTOR, fields.u64lossy(36) * SECTOR];
  if (offset !== SECTOR) inspection.fail('format', 'the descriptor is not in the second sector');
  if (length >= MAX_DESCRIPTOR) inspection.fail('sizes', `the descriptor has ${length} bytes`);
  inspectDescriptor(descriptorText(await readAt(file, SECTOR, Math.min(length, MAX_DESCRIPTOR))), inspection);
  if (refersToFooter(head)) await inspectFooter(file, head, inspection);
};

function inspectDescriptor(text: DescriptorText, inspection: Inspection): void {
  if (/[^\t\n\r -~]/.test(text)) inspection.fail('format', 'the descriptor is not plain text');
  try {
    const type = createType(text);
    if (!SELF_CONTAINED.includes(type))
      inspection.fail('extents', `the image is of the type '${type}': its data is in other files`);
  } catch {
    inspection.fail('format', 'there is no descriptor, or one without a type');
    return;
  }
  inspectParent(text, inspection);
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  const strange = lines.find((line) => !LINE.test(line));
  if (strange !== undefined)
    inspection.fail('format', `the descriptor has a line of an unknown kind: '${strange.slice(0, 80)}'`);
  const extents = lines.flatMap((line) => EXTENT.exec(line) ?? []).length;
  if (extents === 0) inspection.fail('extents', 'the descriptor has no extent');
  let count = 0;
  for (const line of lines) {
    const [, kind, name] = EXTENT.exec(line) ?? [];
    if (kind === undefined) continue;
    if (++count > inspection.limits.extents) inspection.fail('extents', 'the image consists of several files');
    if (name !== undefined) inspection.name(`extent ${count}`, name);
    if (name?.includes('/')) inspection.fail('extents', `an extent is in another directory: '${name}'`);
  }
}

function inspectParent(text: DescriptorText, inspection: Inspection): void {
  try {
    const parent = parentName(text);
    if (parent !== undefined) {
      inspection.fail('backing-file', 'the descriptor names a parent');
      inspection.name('backing file', parent);
    } else if (parentContentId(text) !== NO_CID) inspection.fail('backing-file', 'the image has a parent');
  } catch {
    inspection.fail('backing-file', 'what the descriptor says of a parent cannot be read');
  }
}

/** The header at the end of a stream counts: it has to say what the one at the start says. */
async function inspectFooter(file: Storage, head: Uint8Array, inspection: Inspection): Promise<void> {
  const end = alignUp(file.size(), SECTOR);
  const footer = footerOf(await readAt(file, end - 3 * SECTOR, 3 * SECTOR));
  if (!footer) inspection.fail('metadata', 'the footer is missing, or something follows it');
  else if (refersToFooter(footer)) inspection.fail('metadata', 'the footer refers to a footer');
  else if ([...head.keys()].some((at) => (at < 56 || at >= 64) && footer[at] !== head[at])) {
    inspection.fail('metadata', 'header and footer do not agree');
  }
}
