/** The backing image that an image names, and handing everything over to it. */
import { utf8Bytes } from '../../../base/bytes.ts';
import { invalidArgument } from '../../../base/error.ts';
import type { Backing, BackingReference } from '../../../block/capabilities.ts';
import { flushImage } from '../flush.ts';
import type { Qcow2State } from '../state.ts';
import { MAX_BACKING_NAME } from '../structure/layout.ts';
import { cutTail, dropTables } from './shrink.ts';

/** What the image does with its backing image. */
export function backingOf(image: Qcow2State): Backing {
  return {
    get reference() {
      const { backingFile, backingFormat } = image.header;
      if (backingFile === undefined) return undefined;
      return { file: backingFile, ...(backingFormat === undefined ? {} : { format: backingFormat }) };
    },
    set: (backing) => setBacking(image, backing),
    makeEmpty: () => makeEmpty(image),
    hides: true,
  };
}

/** Records another backing image, or none. Everything else is on the disk before the header changes. */
async function setBacking(image: Qcow2State, backing: BackingReference | undefined): Promise<void> {
  if (backing && image.rawData) {
    throw invalidArgument('Backing file and data-file-raw cannot be used at the same time');
  }
  if (backing && utf8Bytes(backing.file).length > MAX_BACKING_NAME) {
    throw invalidArgument('Invalid argument');
  }
  await flushImage(image);
  await image.changeHeader((header) => {
    delete header.backingFile;
    delete header.backingFormat;
    if (!backing) return;
    header.backingFile = backing.file;
    if (backing.format !== undefined) header.backingFormat = backing.format;
  });
}

/** Drops every allocation of guest data, and the space at the end of the file that this frees. */
async function makeEmpty(image: Qcow2State): Promise<void> {
  // The backing image has the content now: nothing changes for the guest.
  image.generation++;
  const { header, discardFreed } = image;
  // Without snapshots and bitmaps the file is going to end before nearly all that is free then: one cut gives it back.
  image.discardFreed = discardFreed && (header.snapshotCount > 0 || header.bitmaps !== undefined);
  try {
    image.file.debugEvent?.('empty_image_prepare');
    await dropTables(image, 0);
    await flushImage(image);
  } finally {
    image.discardFreed = discardFreed;
  }
  await cutTail(image);
}
