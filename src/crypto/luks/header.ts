/**
 * The header of a LUKS version 1 volume ("LUKS On-Disk Format Specification", version 1.2.3, section 2): 592 bytes, big
 * endian, followed by the material of eight key slots.
 */
import { bigEndian, type Fields, utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidImage, unsupported } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { HashName } from '../spec.ts';
import { type CipherSpec, cipherFamily, volumeKeyLength } from '../spec.ts';
import { parseHeaderNames } from './headerNames.ts';
import { hasLuksMagic, LUKS_VERSION, putLuksMagic } from './magic.ts';

/** Bytes of a LUKS header. */
export const LUKS_HEADER_LENGTH = 592;
/** Key slots of a volume. */
export const LUKS_SLOTS = 8;
/** Pieces that a key is split into by the anti-forensic splitter. */
export const LUKS_STRIPES = 4000;
/** Bytes of the master key's digest. */
export const LUKS_DIGEST_LENGTH = 20;
/** Bytes of each salt. */
export const LUKS_SALT_LENGTH = 32;

/** Key slots and payload start at multiples of this. */
const ALIGNMENT = 4096;
const SLOTS_AT = 208;
const SLOT_LENGTH = 48;
const SLOT_ACTIVE = 0x00ac71f3;
const SLOT_INACTIVE = 0x0000dead;

/** One of the eight key slots. */
export interface LuksKeySlot {
  readonly active: boolean;
  /** PBKDF2 iterations; 0 while the slot is inactive. */
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** Byte offset of the key material. */
  readonly keyOffset: number;
}

/** A LUKS 1 header. Offsets are in bytes from the start of the header. */
export interface LuksHeader {
  readonly spec: CipherSpec;
  /** Hash of PBKDF2 and of the anti-forensic splitter. */
  readonly hash: HashName;
  /** Where the encrypted sectors start; 0 in a header of its own. */
  readonly payloadOffset: number;
  readonly masterKeyDigest: Uint8Array;
  readonly masterKeySalt: Uint8Array;
  readonly masterKeyIterations: number;
  /** As the header has it, usually 36 characters. */
  readonly uuid: string;
  /** Always eight. */
  readonly slots: readonly LuksKeySlot[];
}

/** Bytes of a key slot's material, in whole sectors. */
export function keyMaterialLength(keyLength: number): number {
  return alignUp(keyLength * LUKS_STRIPES, SECTOR);
}

/** Byte offset of a slot's key material in a new volume. */
export function newKeyOffset(spec: CipherSpec, slot: number): number {
  return ALIGNMENT + slot * alignUp(keyMaterialLength(volumeKeyLength(spec)), ALIGNMENT);
}

/** Byte offset of the encrypted sectors in a new volume; also the size of a header that stands alone. */
export function newPayloadOffset(spec: CipherSpec): number {
  return newKeyOffset(spec, LUKS_SLOTS);
}

/**
 * Reads and validates a header.
 * @param bytes at least {@link LUKS_HEADER_LENGTH} bytes; what a short file lacks reads as zeroes.
 * @param detached the encrypted sectors are in another file, so that nothing can overlap them.
 * Throws `wrong-format` if this is no LUKS at all, `unsupported` and `invalid-image` for the rest.
 */
export function parseLuksHeader(bytes: Uint8Array, detached = false): LuksHeader {
  const fields = bigEndian(bytes);
  if (!hasLuksMagic(bytes)) throw new BlockError('wrong-format', 'Volume is not in LUKS format');
  const version = fields.u16(6);
  if (version !== LUKS_VERSION) throw unsupported(`LUKS version ${version} is not supported`);
  const cipherName = terminated(fields, 8, 'cipher name');
  const cipherMode = terminated(fields, 40, 'cipher mode');
  const hashName = terminated(fields, 72, 'hash spec');
  checkLayout(fields, detached);
  return {
    ...parseHeaderNames(cipherName, cipherMode, hashName, fields.u32(108)),
    payloadOffset: fields.u32(104) * SECTOR,
    masterKeyDigest: fields.slice(112, LUKS_DIGEST_LENGTH).slice(),
    masterKeySalt: fields.slice(132, LUKS_SALT_LENGTH).slice(),
    masterKeyIterations: fields.u32(164),
    uuid: fields.utf8(168, 40),
    slots: Array.from({ length: LUKS_SLOTS }, (_, i) => parseSlot(fields, slotPosition(i))),
  };
}

function terminated(fields: Fields, at: number, what: string): string {
  if (fields.slice(at, 32).includes(0)) return fields.utf8(at, 32);
  throw invalidImage(`LUKS header ${what} is not NUL terminated`);
}

/** Position of a slot's entry within the header. */
export function slotPosition(slot: number): number {
  return SLOTS_AT + slot * SLOT_LENGTH;
}

function parseSlot(fields: Fields, at: number): LuksKeySlot {
  return {
    active: fields.u32(at) === SLOT_ACTIVE,
    iterations: fields.u32(at + 4),
    salt: fields.slice(at + 8, LUKS_SALT_LENGTH).slice(),
    keyOffset: fields.u32(at + 40) * SECTOR,
  };
}

/** Header, slots and payload must be apart, and slots must say what they have to say. All in sectors. */
function checkLayout(fields: Fields, detached: boolean): void {
  const headerSectors = ALIGNMENT / SECTOR;
  const payload = detached ? Number.POSITIVE_INFINITY : fields.u32(104);
  if (payload < headerSectors) throw invalidImage('LUKS payload is overlapping with the header');
  if (fields.u32(164) === 0) throw invalidImage('LUKS key iteration count is zero');
  const sectors = keyMaterialLength(fields.u32(108)) / SECTOR;
  for (let i = 0; i < LUKS_SLOTS; i++) {
    const at = slotPosition(i);
    const start = fields.u32(at + 40);
    const stripes = fields.u32(at + 44);
    const state = fields.u32(at);
    // As a signed number, because that is how the real tool prints it.
    if (stripes !== LUKS_STRIPES)
      throw invalidImage(`Keyslot ${i} is corrupted (stripes ${stripes | 0} != ${LUKS_STRIPES})`);
    if (state !== SLOT_ACTIVE && state !== SLOT_INACTIVE) {
      throw invalidImage(`Keyslot ${i} state (active/disable) is corrupted`);
    }
    if (state === SLOT_ACTIVE && fields.u32(at + 4) === 0) throw invalidImage(`Keyslot ${i} iteration count is zero`);
    if (start < headerSectors) throw invalidImage(`Keyslot ${i} is overlapping with the LUKS header`);
    if (start + sectors > payload) throw invalidImage(`Keyslot ${i} is overlapping with the encrypted payload`);
    for (let j = i + 1; j < LUKS_SLOTS; j++) {
      const other = fields.u32(slotPosition(j) + 40);
      if (start < other + sectors && other < start + sectors) {
        throw invalidImage(`Keyslots ${i} and ${j} are overlapping in the header`);
      }
    }
  }
}

/** The bytes of a header. */
export function encodeLuksHeader(header: LuksHeader): Uint8Array {
  const bytes = new Uint8Array(LUKS_HEADER_LENGTH);
  const fields = bigEndian(bytes);
  const { spec } = header;
  putLuksMagic(bytes);
  fields.setU16(6, LUKS_VERSION);
  fields.set(8, utf8Bytes(cipherFamily(spec.cipher)));
  fields.set(40, utf8Bytes(`${spec.mode}-${spec.ivgen}${spec.ivgenHash ? `:${spec.ivgenHash}` : ''}`));
  fields.set(72, utf8Bytes(header.hash));
  fields.setU32(104, header.payloadOffset / SECTOR);
  fields.setU32(108, volumeKeyLength(spec));
  fields.set(112, header.masterKeyDigest);
  fields.set(132, header.masterKeySalt);
  fields.setU32(164, header.masterKeyIterations);
  fields.set(168, utf8Bytes(header.uuid).subarray(0, 40));
  for (const [i, slot] of header.slots.entries()) fields.set(slotPosition(i), encodeSlot(slot));
  return bytes;
}

/** The 48 bytes of a slot's entry. */
export function encodeSlot(slot: LuksKeySlot): Uint8Array {
  const bytes = new Uint8Array(SLOT_LENGTH);
  const fields = bigEndian(bytes);
  fields.setU32(0, slot.active ? SLOT_ACTIVE : SLOT_INACTIVE);
  fields.setU32(4, slot.iterations);
  fields.set(8, slot.salt);
  fields.setU32(40, slot.keyOffset / SECTOR);
  fields.setU32(44, LUKS_STRIPES);
  return bytes;
}
