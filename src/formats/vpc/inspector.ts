/** What a VHD footer says that matters before an image of somebody else is opened. */
import { bigEndian } from '../../base/bytes.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { FormatInspector } from '../../block/inspection.ts';
import { readAt } from '../../storage/storage.ts';
import { checksum, DiskType, FOOTER_SIZE, HEADER_SIZE, parseDynamicHeader, parseFooter } from './header.ts';
import { hasFooterCookie } from './probe.ts';

const FEATURES_AT = 8;
const VERSION_AT = 12;
const SAVED_STATE_AT = 84;
const HEADER_SUM_AT = 36;
/** The reserved bit is always set; bit 0 says that the disk is temporary. */
const KNOWN_FEATURES = 3;

/** Looks at the type of the disk, the version, sums, and whether the two copies of the footer agree. */
export const inspect: FormatInspector = async (file, inspection) => {
  const start = await readAt(file, 0, FOOTER_SIZE);
  const end = await readAt(file, alignUp(file.size(), SECTOR) - FOOTER_SIZE, FOOTER_SIZE);
  const isDynamic = hasFooterCookie(start);
  const bytes = isDynamic ? start : end;
  const fields = bigEndian(bytes);
  const footer = parseFooter(bytes);
  if (!footer.intact) inspection.fail('metadata', 'the checksum of the footer is wrong');
  if (isDynamic && (!hasFooterCookie(end) || start.some((byte, at) => end[at] !== byte))) {
    inspection.fail('metadata', 'the footer at the end is not the one at the start');
  }
  if ((fields.u32(FEATURES_AT) & ~KNOWN_FEATURES) !== 0) inspection.fail('features', 'unknown feature bits');
  if (fields.u16(VERSION_AT) !== 1) inspection.fail('features', `version ${fields.u16(VERSION_AT)} is unknown`);
  if (fields.u8(SAVED_STATE_AT) !== 0) inspection.fail('state', 'the image belongs to a saved machine');
  if (footer.type === DiskType.differencing) inspection.fail('backing-file', 'the image is a difference to a parent');
  if (!isDynamic) return;
  const head = await readAt(file, footer.dataOffset, HEADER_SIZE);
  if (parseDynamicHeader(head) && bigEndian(head).u32(HEADER_SUM_AT) !== checksum(head, HEADER_SUM_AT)) {
    inspection.fail('metadata', 'the checksum of the dynamic header is wrong');
  }
};
