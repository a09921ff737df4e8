/** Finding out whether the log has to be replayed, and replaying it ([MS-VHDX] 2.3.3). */
import { BlockError } from '../../base/error.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import type { CurrentHeader } from './header.ts';
import { Guid, guidBytes, guidText, LOG_SECTOR, MAX_FILE_SIZE, refuse } from './layout.ts';
import { entryChanges, type EntryHeader, entryIsIntact, type LogChange, parseEntryHeader } from './logEntry.ts';

/** Bytes of the log that are searched at a time. */
const CHUNK = 1048576;
/** Largest entry that is read; the changes of one entry are held in memory. */
const MAX_ENTRY = 134217728;

/** An intact entry and where it is in the log. */
interface Entry {
  readonly at: number;
  readonly header: EntryHeader;
}

/** The entries to replay, the oldest first, and the file they belong to. */
export interface PendingLog {
  readonly file: Storage;
  readonly filename: string;
  /** Place of the log in the file, and its length in bytes. */
  readonly offset: number;
  readonly length: number;
  readonly entries: readonly Entry[];
}

/** Looks for entries that have to be replayed; undefined if there are none. */
export async function findLog(file: Storage, header: CurrentHeader, filename: string): Promise<PendingLog | undefined> {
  const { logOffset: offset, logLength: length, logGuid } = header.value;
  if (!header.hasLog || length < LOG_SECTOR) return undefined;
  const log = { file, filename, offset, length };
  const found = await scan(log, guidText(logGuid));
  const entries = activeSequence(found, length);
  if (!entries) return undefined;
  for (const entry of entries) await decode({ ...log, entries }, entry);
  return { ...log, entries };
}

/** All intact entries, by their place in the log. */
async function scan(log: Omit<PendingLog, 'entries'>, logGuid: string): Promise<Map<number, Entry>> {
  const found = new Map<number, Entry>();
  // Entries that claim to overlap each other could make this quadratic.
  let budget = log.length * 4;
  for (let start = 0; start < log.length; start += CHUNK) {
    const end = Math.min(log.length, start + CHUNK);
    if (await isHole(log.file, log.offset + start, end - start)) continue;
    const bytes = await readAt(log.file, log.offset + start, end - start);
    for (let at = start; at + LOG_SECTOR <= end; at += LOG_SECTOR) {
      const header = parseEntryHeader(bytes.subarray(at - start, at - start + LOG_SECTOR), logGuid, log.length);
      if (!header) continue;
      budget -= header.length;
      if (budget < 0 || header.length > MAX_ENTRY) throw refuse(log.filename, 'invalid-image', 'the log is damaged');
      if (entryIsIntact(await readEntry(log, at, header.length))) found.set(at, { at, header });
    }
  }
  return found;
}

async function isHole(file: Storage, offset: number, length: number): Promise<boolean> {
  if (offset >= file.size()) return true;
  const extent = await file.status(offset, Math.min(length, file.size() - offset));
  return extent.kind === 'hole' && (extent.length >= length || offset + extent.length >= file.size());
}

/** The bytes of an entry; the log is a ring. */
async function readEntry(log: Omit<PendingLog, 'entries'>, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const first = Math.min(length, log.length - at);
  await log.file.readPadded(log.offset + at, bytes.subarray(0, first));
  if (first < length) await log.file.readPadded(log.offset, bytes.subarray(first));
  return bytes;
}

/** The newest entry whose tail leads to itself over entries without a gap, with all of those. */
function activeSequence(found: ReadonlyMap<number, Entry>, logLength: number): readonly Entry[] | undefined {
  const newestFirst = [...found.values()].sort((a, b) => (a.header.sequence < b.header.sequence ? 1 : -1));
  let steps = found.size * 4 + 16;
  for (const head of newestFirst) {
    const chain: Entry[] = [];
    let entry = found.get(head.header.tail);
    while (entry && steps-- > 0) {
      chain.push(entry);
      if (entry === head) return chain;
      const next: Entry | undefined = found.get((entry.at + entry.header.length) % logLength);
      entry = next?.header.sequence === entry.header.sequence + 1n ? next : undefined;
    }
  }
  return undefined;
}

/** Carries out the changes of the log, makes them durable, and marks the log as empty. */
export async function replay(log: PendingLog, header: CurrentHeader): Promise<void> {
  const { file, filename } = log;
  for (const { header: entry } of log.entries) {
    if (entry.flushedFileOffset > file.size()) {
      throw refuse(filename, 'invalid-image', 'the file is shorter than when the log was written');
    }
    if (entry.lastFileOffset > MAX_FILE_SIZE) throw refuse(filename, 'too-large', 'the log wants too large a file');
  }
  // All entries are looked at before the first one changes anything.
  for (const entry of log.entries) await changesOf(log, entry);
  for (const entry of log.entries) {
    const changes = await changesOf(log, entry);
    if (file.size() < entry.header.lastFileOffset) await file.truncate(entry.header.lastFileOffset);
    for (const change of changes) {
      if (change.kind === 'data') await file.write(change.offset, change.bytes);
      else if (change.length > 0) await file.writeZeroes(change.offset, change.length);
    }
  }
  await file.flush();
  await header.update({ logGuid: guidBytes(Guid.zero) });
}

async function decode(log: PendingLog, entry: Entry): Promise<LogChange[]> {
  const changes = entryChanges(await readEntry(log, entry.at, entry.header.length), entry.header);
  if (!changes) throw refuse(log.filename, 'invalid-image', 'a log entry is damaged');
  return changes;
}

/** The changes of an entry, all of which lie inside the file. */
async function changesOf(log: PendingLog, entry: Entry): Promise<LogChange[]> {
  const changes = await decode(log, entry);
  const limit = Math.max(log.file.size(), entry.header.lastFileOffset);
  for (const change of changes) {
    const length = change.kind === 'data' ? LOG_SECTOR : change.length;
    if (change.offset + length > limit) {
      throw refuse(log.filename, 'too-large', 'the log changes something beyond the end of the file');
    }
  }
  return changes;
}

/** The error for an image that is opened read-only while its log has to be replayed. */
export function needsReplay(filename: string): BlockError {
  return new BlockError(
    'denied',
    `VHDX image file '${filename}' opened read-only, but contains a log that needs to be replayed`,
    { context: { filename }, hint: { about: 'replay-log', filename } },
  );
}
