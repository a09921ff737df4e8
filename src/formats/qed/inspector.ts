/** What a QED header says that matters before an image of somebody else is opened. */
import { littleEndian } from '../../base/bytes.ts';
import type { FormatInspector } from '../../block/inspection.ts';
import { readAt } from '../../storage/storage.ts';
import { Feature, HEADER_SIZE } from './header.ts';

/** All feature bits that are understood. */
const KNOWN = BigInt(Feature.backing | Feature.needCheck | Feature.rawBacking);

/** Nobody has a reason to send such images any more: whoever takes images of others refuses them. */
export const inspect: FormatInspector = async (file, inspection) => {
  const fields = littleEndian(await readAt(file, 0, HEADER_SIZE));
  inspection.fail('format', "the format was given up, and is only used for old images of one's own");
  const features = fields.big64(16);
  for (const [index, kind] of ['incompatible', 'compatible', 'autoclear'].entries()) {
    const unknown = fields.big64(16 + index * 8) & ~(index === 0 ? KNOWN : 0n);
    if (unknown !== 0n) inspection.fail('features', `unknown ${kind} feature bits 0x${unknown.toString(16)}`);
  }
  if ((features & BigInt(Feature.needCheck)) !== 0n) inspection.fail('state', 'the image was not closed properly');
  if ((features & BigInt(Feature.backing)) !== 0n) inspection.fail('backing-file', 'the header names a backing file');
};
