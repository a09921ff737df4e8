/** What a VHDX file says that matters before an image of somebody else is opened. */
import { littleEndian } from '../../base/bytes.ts';
import type { FormatInspector } from '../../block/inspection.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import { CurrentHeader } from './header.ts';
import { Guid, guidText, MAX_TABLE_ENTRIES, REGION_TABLE_OFFSETS, REGION_TABLE_SIZE } from './layout.ts';
import { findLog } from './replay.ts';

/** Bytes of an entry of the region table and of the metadata table. */
const ENTRY = 32;

/** Looks at the log and at parents. */
export const inspect: FormatInspector = async (file, inspection) => {
  const header = await CurrentHeader.read(file);
  if (await findLog(file, header, file.name)) inspection.fail('state', 'the log has to be replayed');
  for (const offset of REGION_TABLE_OFFSETS) {
    const metadata = await placeIn(file, offset, { head: 16, signature: 'regi', countAt: 8 }, Guid.metadata);
    if (metadata === undefined) continue;
    const table = { head: 32, signature: 'metadata', countAt: 10 };
    if ((await placeIn(file, metadata, table, Guid.parentLocator)) !== undefined) {
      inspection.fail('backing-file', 'the image has a parent');
    }
    return;
  }
};

/** How a table of identifiers begins. */
interface TableKind {
  /** Bytes in front of the first entry. */
  readonly head: number;
  readonly signature: string;
  /** Where the number of entries is, in 16 bits: no table has more. */
  readonly countAt: number;
}

/** The place that the table at `offset` has for an identifier. */
async function placeIn(file: Storage, offset: number, kind: TableKind, guid: string): Promise<number | undefined> {
  const fields = littleEndian(await readAt(file, offset, REGION_TABLE_SIZE));
  if (fields.latin1(0, kind.signature.length) !== kind.signature) return undefined;
  const count = Math.min(fields.u16(kind.countAt), MAX_TABLE_ENTRIES);
  for (let at = kind.head; at < kind.head + count * ENTRY; at += ENTRY) {
    if (guidText(fields.slice(at, 16)) === guid) return fields.u64lossy(at + 16);
  }
  return undefined;
}
