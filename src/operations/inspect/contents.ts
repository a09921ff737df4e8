/** What a file holds besides, or instead of, an image of a format: partition tables and file systems of discs. */
import { littleEndian } from '../../base/bytes.ts';
import { SECTOR } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import { readAt, type Storage } from '../../storage/storage.ts';

/** Where the entries of an MBR are, how many, and how long. */
const ENTRIES_AT = 446;
const ENTRIES = 4;
const ENTRY = 16;
const BOOT_SIGNATURE_AT = 510;
const BOOT_SIGNATURE = 0xaa55;
/** Type of the entry that keeps programs without GPT off the disk. */
const PROTECTIVE = 0xee;
/** Volume descriptors of discs (ECMA-119 8.1, ECMA-167 2/9.1), which begin at sector 16 of 2,048 bytes. */
const DESCRIPTORS_AT = 32768;
const DESCRIPTOR = 2048;
const DESCRIPTORS = 8;
const DISC_NAMES: readonly string[] = ['CD001', 'BEA01', 'NSR02', 'NSR03'];
/** GPT headers begin so, in the second sector and in the last one. */
const GPT = 'EFI PART';
const SECTOR_SIZES = [512, 4096];

/** What was found. */
export interface Contents {
  /** What it is, for people. */
  readonly kinds: readonly string[];
  /** What is wrong with the partition tables; empty if they can be trusted, or there are none. */
  readonly problems: readonly string[];
}

/** Looks at the places where such things are. */
export async function contentsOf(file: Storage): Promise<Contents> {
  const start = await readAt(file, 0, Math.max(...SECTOR_SIZES) + SECTOR);
  const kinds: string[] = [];
  const problems: string[] = [];
  const boot = bootSector(start);
  const hasGpt = SECTOR_SIZES.some((size) => textAt(start, size, GPT));
  if (hasGpt) kinds.push('GPT partition table');
  if (boot?.kind === 'partitions') {
    kinds.push('MBR partition table');
    problems.push(...boot.problems);
    if (hasGpt && !boot.protective) problems.push('the MBR does not protect the GPT');
    if (!hasGpt && boot.protective) problems.push('the MBR protects a GPT that is not there');
  } else if (hasGpt) problems.push('there is no MBR in front of the GPT');
  if (boot?.kind === 'volume') kinds.push('boot sector of a file system');
  if (boot?.kind === 'empty') {
    kinds.push('MBR without partitions');
    problems.push('the MBR has no partition');
  }
  if (await isDisc(file)) kinds.push('file system of an optical disc (ISO 9660 or UDF)');
  return { kinds, problems };
}

type BootSector =
  | { readonly kind: 'partitions'; readonly protective: boolean; readonly problems: readonly string[] }
  | { readonly kind: 'volume' | 'empty' };

/** What the first sector is; undefined if it is no boot sector. */
function bootSector(start: Uint8Array): BootSector | undefined {
  const fields = littleEndian(start);
  if (fields.u16(BOOT_SIGNATURE_AT) !== BOOT_SIGNATURE) return undefined;
  const entries = Array.from({ length: ENTRIES }, (_, i) => fields.slice(ENTRIES_AT + i * ENTRY, ENTRY));
  const isJump = start[0] === 0xeb || start[0] === 0xe9;
  const isVolume = isJump && ['FAT', 'NTFS', 'EXFAT'].some((name) => /[A-Z]/.test(name) && volumeNamed(start, name));
  if (isVolume) return { kind: 'volume' };
  const used = entries.filter((entry) => !isZero(entry));
  if (used.length === 0) return { kind: 'empty' };
  return { kind: 'partitions', protective: used.some((entry) => entry[4] === PROTECTIVE), problems: problemsOf(used) };
}

/** File systems have their name at one of these places of their boot sectors. */
function volumeNamed(start: Uint8Array, name: string): boolean {
  return [3, 54, 82].some((at) => textAt(start, at, name));
}

/** What contradicts the usual form of a partition table: then something else may be meant (UEFI 2.10, 5.2.3). */
function problemsOf(entries: readonly Uint8Array[]): string[] {
  const problems: string[] = [];
  for (const entry of entries) {
    const fields = littleEndian(entry);
    const [boot, type] = [fields.u8(0), fields.u8(4)];
    if (boot !== 0 && boot !== 0x80) problems.push(`a boot flag is 0x${boot.toString(16)}`);
    if (type !== PROTECTIVE) continue;
    const isUsual = fields.u8(1) === 0 && fields.u8(2) === 2 && fields.u8(3) === 0 && fields.u32(8) === 1;
    if (!isUsual) problems.push('the protective partition does not begin at sector 1');
    if (entries.length > 1) problems.push('there are partitions beside the protective one');
  }
  return problems;
}

async function isDisc(file: Storage): Promise<boolean> {
  const bytes = await readAt(file, DESCRIPTORS_AT, DESCRIPTORS * DESCRIPTOR);
  for (let at = 0; at < bytes.length; at += DESCRIPTOR) {
    if (DISC_NAMES.some((name) => textAt(bytes, at + 1, name))) return true;
  }
  return false;
}

function textAt(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}
