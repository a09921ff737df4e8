/** The table of internal snapshots that `info` and `snapshot -l` show. */
import { utf8Bytes } from '../base/bytes.ts';
import { humanSize } from '../base/size.ts';
import type { SnapshotEntry } from '../operations/info.ts';

/** Title line of the table. */
export const snapshotTitle: string = row('ID', 'TAG', 'VM_SIZE', 'DATE', 'VM_CLOCK', 'ICOUNT');

function row(id: string, tag: string, size: string, date: string, clock: string, count: string): string {
  const left = `${padBytes(id, 7)} ${padBytes(tag, 16)}`;
  return `${left} ${size.padStart(8)} ${date.padStart(19)} ${clock.padStart(15)} ${count.padStart(10)}`;
}

/** Blanks up to a width that counts bytes, as C does. */
function padBytes(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - utf8Bytes(text).length));
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** Local date and time of the snapshot, `2026-11-22 09:14:54`. */
function dateOf(entry: SnapshotEntry): string {
  const local = new Date((entry.dateSeconds + entry.zoneOffset) * 1000);
  return Number.isNaN(local.getTime()) ? String(entry.dateSeconds) : local.toISOString().slice(0, 19).replace('T', ' ');
}

/** Hours, minutes, seconds and milliseconds that the machine had run, `0000:00:01.250`. */
function clockOf({ vmClockSeconds: seconds, vmClockNanoseconds: nanoseconds }: SnapshotEntry): string {
  const hours = String(Math.floor(seconds / 3600)).padStart(4, '0');
  const rest = `${twoDigits(Math.floor(seconds / 60) % 60)}:${twoDigits(seconds % 60)}`;
  return `${hours}:${rest}.${String(Math.floor(nanoseconds / 1_000_000)).padStart(3, '0')}`;
}

/** One line of the table. */
export function snapshotLine(entry: SnapshotEntry): string {
  const count = entry.instructionCount ?? '--';
  const size = humanSize(entry.vmStateSize);
  return row(entry.id, entry.name, size, dateOf(entry), clockOf(entry), count);
}
