/** LUKS 1 volumes: reading the header, unlocking, creating. Used by the luks format and inside of qcow2. */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { BlockError, unsupported } from '../../base/error.ts';
import type { CryptoPort } from '../crypto.ts';
import type { HashName } from '../spec.ts';
import { type SectorCipher, sectorCipher } from '../sectorCipher.ts';
import {
  type CipherSpec,
  checkIvGen,
  checkMode,
  parseCipherMode,
  parseCipherName,
  parseHashName,
  parseIvGenName,
  volumeKeyLength,
} from '../spec.ts';
import { iterationsFor, measurePbkdf } from './calibrate.ts';
import {
  encodeLuksHeader,
  LUKS_DIGEST_LENGTH,
  LUKS_HEADER_LENGTH,
  LUKS_SALT_LENGTH,
  LUKS_SLOTS,
  type LuksHeader,
  newKeyOffset,
  newPayloadOffset,
  parseLuksHeader,
} from './header.ts';
import { emptySlot, type LuksIo, masterKeyDigest, unlockSlot, writeKeyMaterial } from './keyslot.ts';

/** Milliseconds that deriving a key from a passphrase is to take unless told otherwise. */
export const DEFAULT_ITER_TIME = 2000;
/** The master key needs no protection against guessing: its digest gets this fraction of the time. */
const DIGEST_SHARE = 8;

/** How a volume is to be created; the strings are those of the options. */
export interface LuksOptions {
  readonly cipherAlg?: string;
  readonly cipherMode?: string;
  readonly ivgenAlg?: string;
  readonly ivgenHashAlg?: string;
  readonly hashAlg?: string;
}

/** A new volume's cipher and hash. */
export interface LuksParameters {
  readonly spec: CipherSpec;
  readonly hash: HashName;
}

/**
 * Reads creation options. Without any: AES-256-XTS with `plain64`, SHA-256. Throws for unknown names and for what does
 * not go together.
 */
export function luksParameters(options: LuksOptions = {}): LuksParameters {
  const cipher = parseCipherName(options.cipherAlg ?? 'aes-256');
  const mode = parseCipherMode(options.cipherMode ?? 'xts');
  const ivgen = parseIvGenName(options.ivgenAlg ?? 'plain64');
  const named = options.ivgenHashAlg === undefined ? undefined : parseHashName('ivgen-hash-alg', options.ivgenHashAlg);
  const hash = parseHashName('hash-alg', options.hashAlg ?? 'sha256');
  const ivgenHash = named ?? (ivgen === 'essiv' ? 'sha256' : undefined);
  const spec: CipherSpec = { cipher, mode, ivgen, ...(ivgenHash === undefined ? {} : { ivgenHash }) };
  checkIvGen(spec);
  checkMode(spec);
  return { spec, hash };
}

/** Reads and validates the header; `detached` as in {@link parseLuksHeader}. */
export function readLuksHeader(io: LuksIo, detached = false): MaybePromise<LuksHeader> {
  const bytes = new Uint8Array(LUKS_HEADER_LENGTH);
  return andThen(io.read(0, bytes), () => parseLuksHeader(bytes, detached));
}

/** An unlocked volume. */
export interface LuksVolume {
  readonly header: LuksHeader;
  /** What sectors are encrypted with, together with `header.spec`; enough for a worker to make its own cipher. */
  readonly masterKey: Uint8Array;
  /** Cipher of the payload; its sectors count from the start of the payload. */
  readonly cipher: SectorCipher;
}

function requireHashes(port: CryptoPort, { spec, hash }: LuksParameters): void {
  const names = spec.ivgen === 'essiv' && spec.ivgenHash ? [hash, spec.ivgenHash] : [hash];
  for (const name of names) {
    if (!port.hasHash(name)) throw unsupported(`Hash algorithm '${name}' not supported`);
  }
}

/** PBKDF2 iterations that a passphrase may take which fits no slot. */
export function unlockingCost({ slots, masterKeyIterations }: LuksHeader): number {
  const active = slots.filter((slot) => slot.active);
  return active.reduce((sum, slot) => sum + slot.iterations + masterKeyIterations, 0);
}

/**
 * Unlocks a volume. Tries the active slots in turn.
 * @param mostIterations refuse a volume whose header asks for more PBKDF2 iterations than this.
 * Throws `permission` if the passphrase fits no slot, `limit` if trying would take too long.
 */
export async function openLuks(
  port: CryptoPort,
  io: LuksIo,
  header: LuksHeader,
  passphrase: Uint8Array,
  mostIterations: number = Number.POSITIVE_INFINITY,
): Promise<LuksVolume> {
  const active = header.slots.filter((slot) => slot.active);
  const cost = unlockingCost(header);
  if (cost > mostIterations) {
    throw new BlockError('limit', `Unlocking needs ${cost} PBKDF iterations, the limit is ${mostIterations}`);
  }
  if (active.length > 0) {
    checkMode(header.spec);
    requireHashes(port, header);
  }
  for (const slot of active) {
    const masterKey = await unlockSlot(port, io, header, slot, passphrase);
    if (masterKey) return { header, masterKey, cipher: sectorCipher(port, header.spec, masterKey) };
  }
  throw new BlockError('permission-denied', 'Invalid password, cannot unlock any keyslot', {
    posix: { code: 'EPERM', text: 'Operation not permitted' },
  });
}

/** What a new volume is made from. */
export interface LuksCreation extends LuksParameters {
  readonly passphrase: Uint8Array;
  /** Milliseconds that each guess at the passphrase is to cost; {@link DEFAULT_ITER_TIME} if absent. */
  readonly iterTime?: number;
  /** The header goes to a file of its own; the encrypted sectors start at 0 of another. */
  readonly detached?: boolean;
}

/** Milliseconds of work for which no host computes too many iterations for a header. */
const HARMLESS_ITER_TIME = 60_000;

/** Throws what {@link createLuks} would throw for these parameters, without its work. */
export async function checkLuks(port: CryptoPort, parameters: LuksParameters, iterTime?: number): Promise<void> {
  requireHashes(port, parameters);
  if (iterTime === undefined || iterTime <= HARMLESS_ITER_TIME) return;
  const speed = await measurePbkdf(port, parameters.hash);
  iterationsFor(speed.rate(LUKS_DIGEST_LENGTH), iterTime, DIGEST_SHARE);
  iterationsFor(speed.rate(volumeKeyLength(parameters.spec)), iterTime);
}

/**
 * Creates a volume with a fresh master key and one active slot. Writes the key material, then the header: nothing passes
 * for a volume before it is one. The inactive slots' material is left as it is.
 */
export async function createLuks(port: CryptoPort, io: LuksIo, creation: LuksCreation): Promise<LuksVolume> {
  const { spec, hash, passphrase, iterTime = DEFAULT_ITER_TIME } = creation;
  requireHashes(port, creation);
  const random = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    port.fillRandom(bytes);
    return bytes;
  };
  const masterKey = random(volumeKeyLength(spec));
  const cipher = sectorCipher(port, spec, masterKey);
  const uuid = makeUuid(random(16));
  const speed = await measurePbkdf(port, hash);
  const digest = {
    hash,
    masterKeySalt: random(LUKS_SALT_LENGTH),
    masterKeyIterations: iterationsFor(speed.rate(LUKS_DIGEST_LENGTH), iterTime, DIGEST_SHARE),
  };
  const iterations = iterationsFor(speed.rate(masterKey.length), iterTime);
  const slots = Array.from({ length: LUKS_SLOTS }, (_, i) => emptySlot(newKeyOffset(spec, i)));
  slots[0] = await writeKeyMaterial(port, io, creation, slots[0]!.keyOffset, iterations, masterKey, passphrase);
  const header: LuksHeader = {
    ...digest,
    spec,
    masterKeyDigest: await masterKeyDigest(port, digest, masterKey),
    payloadOffset: creation.detached ? 0 : newPayloadOffset(spec),
    uuid,
    slots,
  };
  await io.write(0, encodeLuksHeader(header));
  return { header, masterKey, cipher };
}

/** A UUID of version 4 (RFC 9562, section 5.4) from 16 random bytes. */
function makeUuid(bytes: Uint8Array): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
