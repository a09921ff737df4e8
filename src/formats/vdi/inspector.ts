/** What a VDI header says that matters before an image of somebody else is opened. */
import { isZero } from '../../base/zero.ts';
import { littleEndian } from '../../base/bytes.ts';
import type { FormatInspector } from '../../block/inspection.ts';
import { readAt } from '../../storage/storage.ts';
import { HEADER_SIZE, ImageType } from './header.ts';

/** Where the identifiers of images are that an image belongs to, and their bytes. */
const PARENTS_AT = 0x1a8;
const PARENTS_SIZE = 32;
const TYPE_AT = 0x4c;

/** Looks at parents and at the type: the others are differences to an image, which is found by its identifier. */
export const inspect: FormatInspector = async (file, inspection) => {
  const head = await readAt(file, 0, HEADER_SIZE);
  const type = littleEndian(head).u32(TYPE_AT);
  if (type !== ImageType.dynamic && type !== ImageType.fixed)
    inspection.fail('features', `image type ${type} is unknown`);
  if (!isZero(head.subarray(PARENTS_AT, PARENTS_AT + PARENTS_SIZE))) {
    inspection.fail('backing-file', 'the header names a parent');
  }
};
