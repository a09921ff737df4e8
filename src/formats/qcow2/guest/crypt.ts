/** Encryption of guest data: LUKS, whose header is in clusters of the image, or the old AES by passphrase. */
import type { MaybePromise } from '../../../base/async.ts';
import { BlockError, invalidArgument, invalidImage } from '../../../base/error.ts';
import { alignUp, divideUp, SECTOR } from '../../../base/offset.ts';
import type { OpenContext } from '../../../block/format.ts';
import type { Services } from '../../../block/services.ts';
import { bulkCipher } from '../../../crypto/bulk.ts';
import type { CryptoPort } from '../../../crypto/crypto.ts';
import { amendLuks } from '../../../crypto/luks/amend.ts';
import { newPayloadOffset } from '../../../crypto/luks/header.ts';
import type { LuksIo } from '../../../crypto/luks/keyslot.ts';
import { amendmentOf, iterTimeOf, luksOptionsOf } from '../../../crypto/luks/optionValues.ts';
import {
  checkLuks,
  createLuks,
  type LuksParameters,
  type LuksVolume,
  luksParameters,
  openLuks,
  readLuksHeader,
} from '../../../crypto/luks/volume.ts';
import { legacyAes } from '../../../crypto/sectorCipher.ts';
import type { Storage } from '../../../storage/storage.ts';
import type { Qcow2State } from '../state.ts';
import type { ImageCipher } from '../structure/imageState.ts';
import { CryptMethod, LAST_OFFSET } from '../structure/layout.ts';
import type { AmendOptions, CreateOptions, OpenOptions, openOptions } from '../options.ts';

const PREFIX = 'encrypt.';

/** Values of the options below `encrypt`, without that part of their names. */
type Inner<T> = { readonly [N in keyof T as N extends `${typeof PREFIX}${infer Rest}` ? Rest : never]: T[N] };

function inner<T extends object>(options: T): Inner<T> {
  const own = Object.entries(options).filter(([name, value]) => name.startsWith(PREFIX) && value !== undefined);
  return Object.fromEntries(own.map(([name, value]) => [name.slice(PREFIX.length), value])) as Inner<T>;
}

/** The id in `encrypt.key-secret`; throws if there is none. */
function requireSecret(options: OpenOptions | CreateOptions): string {
  const id = options['encrypt.key-secret'];
  if (id === undefined) throw invalidArgument("Parameter 'encrypt.key-secret' is required for cipher");
  return id;
}

/** The secret that `encrypt.key-secret` names; throws if there is none. */
async function secretOf(services: Services, options: OpenOptions | CreateOptions): Promise<Uint8Array> {
  return services.secrets.get(requireSecret(options));
}

/** Sectors of LUKS count from the start of the storage that holds the clusters. */
function luksCipher(port: CryptoPort, { header, masterKey }: LuksVolume): ImageCipher {
  const cipher = bulkCipher(port, header.spec, masterKey);
  return {
    decrypt: (bytes, host) => cipher.decrypt(host / SECTOR, bytes),
    encrypt: (bytes, host) => cipher.encrypt(host / SECTOR, bytes),
  };
}

/** Sectors of the old encryption count from the start of the guest's disk. */
function aesCipher(port: CryptoPort, passphrase: Uint8Array): ImageCipher {
  const { spec, key } = legacyAes(passphrase);
  const cipher = bulkCipher(port, spec, key);
  return {
    decrypt: (bytes, _host, guest) => cipher.decrypt(guest / SECTOR, bytes),
    encrypt: (bytes, _host, guest) => cipher.encrypt(guest / SECTOR, bytes),
  };
}

/** Access to a LUKS header of `length` bytes at `start`. */
function headerIo(file: Storage, start: number, length: number): LuksIo {
  const at = (offset: number, bytes: Uint8Array): number => {
    if (offset + bytes.length > length) throw invalidArgument('Request for data outside of extension header');
    if (start + offset + bytes.length <= LAST_OFFSET) return start + offset;
    throw new BlockError('io', 'Could not read encryption header: Input/output error');
  };
  return {
    read: (offset, into) => file.readPadded(at(offset, into), into),
    write: (offset, from) => file.write(at(offset, from), from),
  };
}

function ioOf(image: Qcow2State): LuksIo {
  const { crypto } = image.header;
  if (!crypto) throw new BlockError('internal', 'LUKS without a header');
  const { clusterSize } = image.geometry;
  if (crypto.offset % clusterSize !== 0) {
    throw invalidImage(
      `Encryption header offset '${crypto.offset}' is not a multiple of cluster size '${clusterSize}'`,
    );
  }
  return headerIo(image.file, crypto.offset, crypto.length);
}

/** Throws if the options of opening ask for another encryption than the image has. */
function checkFormat(image: Qcow2State, options: OpenOptions): void {
  const wanted = options['encrypt.format'];
  if (wanted === undefined) return;
  const { cryptMethod } = image.header;
  if (cryptMethod === CryptMethod.none) {
    throw invalidArgument(`No encryption in image header, but options specified format '${wanted}'`);
  }
  const format = cryptMethod === CryptMethod.luks ? 'luks' : 'aes';
  if (wanted === format) return;
  throw invalidArgument(`Header reported '${format}' encryption format but options specify '${wanted}'`);
}

/** Reads what the image says about its encryption and, unless it is only described, unlocks it. */
export async function openEncryption(image: Qcow2State, context: OpenContext<typeof openOptions>): Promise<void> {
  const { options, services } = context;
  checkFormat(image, options);
  const { cryptMethod } = image.header;
  if (cryptMethod === CryptMethod.none) return;
  const describeOnly = context.keyless;
  if (cryptMethod === CryptMethod.aes) {
    if (!describeOnly) image.cipher = aesCipher(services.crypto, await secretOf(services, options));
    return;
  }
  if (!describeOnly) requireSecret(options);
  const io = ioOf(image);
  image.luksHeader = await readLuksHeader(io);
  if (describeOnly) return;
  const passphrase = await secretOf(services, options);
  setVolume(image, await openLuks(services.crypto, io, image.luksHeader, passphrase, services.limits.keyIterations));
}

function setVolume(image: Qcow2State, volume: LuksVolume): void {
  image.luksVolume = volume;
  image.luksHeader = volume.header;
  image.cipher = luksCipher(image.services.crypto, volume);
}

/** Encryption of a new image; `parameters` is there for LUKS. */
export interface NewEncryption {
  readonly parameters: LuksParameters | undefined;
}

/** The encryption that options of creation ask for. Throws for options that do not go together. */
export function newEncryption(options: CreateOptions): NewEncryption | undefined {
  const old = options.encryption;
  const named = options['encrypt.format'];
  if (old === true && named !== undefined) {
    throw invalidArgument("'encrypt.format' and its alias 'encryption' can't be used at the same time");
  }
  const format = old === true ? 'aes' : named;
  const own = inner(options);
  switch (format) {
    case undefined:
      if (Object.keys(own).length > 0) throw invalidArgument("Parameter 'encrypt.format' is missing");
      return undefined;
    case 'luks':
      return { parameters: luksParameters(luksOptionsOf(own)) };
    case 'aes': {
      const odd = Object.keys(own).find((name) => name !== 'format' && name !== 'key-secret');
      if (odd !== undefined) throw invalidArgument(`Parameter 'encrypt.${odd}' is unexpected`);
      return { parameters: undefined };
    }
    default:
      throw invalidArgument(`Parameter 'format' does not accept value '${format}'`);
  }
}

/** The passphrase for a new image. Throws if there is none, or if the volume could not be made. */
export async function prepareEncryption(
  services: Services,
  { parameters }: NewEncryption,
  options: CreateOptions,
): Promise<Uint8Array> {
  const passphrase = await secretOf(services, options);
  if (parameters) await checkLuks(services.crypto, parameters, iterTimeOf(inner(options)));
  return passphrase;
}

/** Makes a new image without data an encrypted one: the LUKS header gets clusters, then the image's header names them. */
export async function encryptNew(
  image: Qcow2State,
  { parameters }: NewEncryption,
  passphrase: Uint8Array,
  options: CreateOptions,
): Promise<void> {
  const { file } = image;
  const { crypto } = image.services;
  if (!parameters) {
    image.cipher = aesCipher(crypto, passphrase);
    await image.writeHeader((header) => {
      header.cryptMethod = CryptMethod.aes;
    });
    return;
  }
  const { clusterSize } = image.geometry;
  const length = newPayloadOffset(parameters.spec);
  const clusters = divideUp(length, clusterSize);
  const offset = await image.allocator.allocate(clusters);
  await image.refcounts.flush();
  if (file.size() < offset + clusters * clusterSize) await file.truncate(offset + clusters * clusterSize);
  const iterTime = iterTimeOf(inner(options));
  const creation = { ...parameters, passphrase, ...(iterTime === undefined ? {} : { iterTime }) };
  setVolume(image, await createLuks(crypto, headerIo(file, offset, length), creation));
  await file.flush();
  await image.writeHeader((header) => {
    header.cryptMethod = CryptMethod.luks;
    header.crypto = { offset, length };
  });
}

/** Bytes that the encryption header of a new image takes, in whole clusters. Throws what creating it would throw. */
export async function measureEncryption(
  services: Services,
  options: CreateOptions,
  clusterSize: number,
): Promise<number> {
  if (options['encrypt.format'] !== 'luks') return 0;
  const parameters = luksParameters(luksOptionsOf(inner(options)));
  await prepareEncryption(services, { parameters }, options);
  return alignUp(newPayloadOffset(parameters.spec), clusterSize);
}

/** True if amend options concern the encryption. */
export function amendsEncryption(options: AmendOptions): boolean {
  return Object.keys(inner(options)).length > 0;
}

/** Throws if the image has no key slots that could be amended. */
export function checkEncryption({ header, luksVolume }: Qcow2State): LuksVolume {
  if (header.cryptMethod === CryptMethod.none) {
    throw invalidArgument("Can't amend encryption options - encryption not present");
  }
  if (!luksVolume) throw invalidArgument('Only LUKS encryption options can be amended');
  return luksVolume;
}

/**
 * Adds or erases key slots: the `encrypt.` part of amend options.
 * @param force allow what loses the data.
 */
export function amendEncryption(image: Qcow2State, options: AmendOptions, force: boolean): MaybePromise<void> {
  const { services } = image;
  const luksVolume = checkEncryption(image);
  const amendment = amendmentOf(inner(options), force, (id) => services.secrets.get(id));
  return amendLuks(services.crypto, ioOf(image), luksVolume, amendment).then((volume) => setVolume(image, volume));
}
