/** Directory entries. */
import { littleEndian } from '../../base/bytes.ts';
import type { FileStatus } from '../../storage/files.ts';
import { ENTRY } from './geometry.ts';

/** Attributes of an entry. */
export const Attribute = { volume: 0x28, directory: 0x10, file: 0x20 } as const;

/** The host's time zone: seconds east of UTC at a time. */
export type Zone = (seconds: number) => number;

/** Date and time as entries have them: local, from 1980 to 2107, even seconds. */
export function fatTime(seconds: number, zone: Zone): { readonly date: number; readonly time: number } {
  const local = new Date((seconds + zone(seconds)) * 1000);
  const year = local.getUTCFullYear();
  if (!(year >= 1980)) return { date: 0x21, time: 0 };
  if (year > 2107) return { date: 0xff9f, time: 0xbf7d };
  return {
    date: (year - 1980) * 512 + (local.getUTCMonth() + 1) * 32 + local.getUTCDate(),
    time: local.getUTCHours() * 2048 + local.getUTCMinutes() * 32 + Math.floor(local.getUTCSeconds() / 2),
  };
}

/** One entry with a short name. The first cluster is set later: {@link setCluster}. */
export function entryOf(
  short: string,
  attribute: number,
  size: number,
  status: FileStatus | undefined,
  zone: Zone,
): Uint8Array {
  const fields = littleEndian(new Uint8Array(ENTRY));
  for (let i = 0; i < 11; i++) fields.setU8(i, short.charCodeAt(i));
  fields.setU8(11, attribute);
  const times = status?.times;
  if (times) {
    const changed = fatTime(times.changed, zone);
    fields.setU16(14, changed.time);
    fields.setU16(16, changed.date);
    fields.setU16(18, fatTime(times.accessed, zone).date);
    const modified = fatTime(times.modified, zone);
    fields.setU16(22, modified.time);
    fields.setU16(24, modified.date);
  }
  fields.setU32(28, size);
  return fields.bytes;
}

/** Puts the first cluster into the entry at `at` of a directory. */
export function setCluster(directory: Uint8Array, at: number, cluster: number): void {
  const fields = littleEndian(directory);
  fields.setU16(at + 20, Math.floor(cluster / 65536));
  fields.setU16(at + 26, cluster % 65536);
}
