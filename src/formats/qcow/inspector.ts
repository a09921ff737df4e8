/** What a qcow header says that matters before an image of somebody else is opened. */
import { bigEndian } from '../../base/bytes.ts';
import type { FormatInspector } from '../../block/inspection.ts';
import { readAt } from '../../storage/storage.ts';
import { HEADER_SIZE } from './header.ts';

const BACKING_AT = 8;
const ENCRYPTION_AT = 36;

/** Nobody has a reason to send such images any more: whoever takes images of others refuses them. */
export const inspect: FormatInspector = async (file, inspection) => {
  const fields = bigEndian(await readAt(file, 0, HEADER_SIZE));
  inspection.fail('format', "version 1 of the format was given up, and is only used for old images of one's own");
  if (fields.big64(BACKING_AT) !== 0n) inspection.fail('backing-file', 'the header names a backing file');
  if (fields.u32(ENCRYPTION_AT) === 0) return;
  inspection.fail('encryption', 'the image is encrypted by the old method, which is not safe');
};
