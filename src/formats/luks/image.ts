/** An open LUKS volume: sectors that lie where they belong, encrypted. */
import type { MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { Amender, Checker, FormatInfo, ImageDriver, Quirks, Writing } from '../../block/capabilities.ts';
import type { OpenContext } from '../../block/format.ts';
import type { Allocation, Mapping } from '../../block/mapping.ts';
import { encryptedRoom } from '../../block/kit/encryptedRoom.ts';
import type { Services } from '../../block/services.ts';
import { type BulkCipher, bulkCipher } from '../../crypto/bulk.ts';
import { amendLuks } from '../../crypto/luks/amend.ts';
import type { LuksHeader } from '../../crypto/luks/header.ts';
import { luksInfo } from '../../crypto/luks/info.ts';
import { amendmentOf } from '../../crypto/luks/optionValues.ts';
import { type LuksVolume, openLuks, readLuksHeader } from '../../crypto/luks/volume.ts';
import type { Preallocation, Storage } from '../../storage/storage.ts';
import { deepCheckerOf } from './deepCheck.ts';
import { luksIo, passphraseOf } from './header.ts';
import type { openOptions } from './options.ts';

/** What {@link LuksImage} is made of. */
interface LuksParts {
  /** Holds the encrypted sectors. */
  readonly file: Storage;
  /** Holds the header, where that is a file of its own. */
  readonly headerFile: Storage | undefined;
  readonly header: LuksHeader;
  /** Absent: the volume is only described. */
  readonly volume: LuksVolume | undefined;
  readonly services: Services;
}

/** A LUKS volume as the block layer sees it. */
class LuksImage implements ImageDriver, Writing {
  readonly writing: Writing = this;
  readonly quirks: Quirks = { inSectors: true };
  readonly limits: { readonly requestAlignment: number } = { requestAlignment: SECTOR };
  readonly amender: Amender | undefined;
  readonly checker: Checker;
  readonly #parts: LuksParts;
  readonly #cipher: BulkCipher | undefined;
  #volume: LuksVolume | undefined;

  constructor(parts: LuksParts) {
    const { volume, services } = parts;
    this.#parts = parts;
    this.#volume = volume;
    const { file, headerFile } = parts;
    this.checker = deepCheckerOf(headerFile ?? file, () => this.#header, headerFile !== undefined);
    if (volume) {
      this.#cipher = bulkCipher(services.crypto, volume.header.spec, volume.masterKey);
      // Others may read and write, but not while key slots change.
      this.amender = { alone: true, amend: (options, { force }) => this.#amend(options, force) };
    }
  }

  get #header(): LuksHeader {
    return this.#volume?.header ?? this.#parts.header;
  }

  get #payload(): number {
    return this.#parts.header.payloadOffset;
  }

  get virtualSize(): number {
    return Math.max(0, sizeOf(this.#parts));
  }

  get children(): readonly { readonly role: string; readonly node: Storage }[] {
    const { headerFile } = this.#parts;
    return headerFile ? [{ role: 'header', node: headerFile }] : [];
  }

  map(_offset: number, length: number): Mapping {
    return { kind: 'special', length, compressed: false, encrypted: true };
  }

  async readSpecial(offset: number, into: Uint8Array): Promise<void> {
    const cipher = this.#unlocked();
    await this.#parts.file.readPadded(this.#payload + offset, into);
    await cipher.decrypt(offset / SECTOR, into);
  }

  allocate(offset: number, length: number): Allocation {
    const { file, services } = this.#parts;
    const cipher = this.#unlocked();
    const room = { start: offset, length, storage: file, offset: this.#payload + offset, fresh: false };
    return encryptedRoom(room, services.buffers, (guest, bytes) => cipher.encrypt(guest / SECTOR, bytes));
  }

  async resize(size: number, preallocation: Preallocation): Promise<void> {
    await this.#parts.file.truncate(this.#payload + size, preallocation);
  }

  async flush(): Promise<void> {
    await this.#parts.file.flush();
    await this.#parts.headerFile?.flush();
  }

  close(): MaybePromise<void> {
    return this.#parts.headerFile?.close();
  }

  info(): FormatInfo {
    const data = luksInfo(this.#header, { detached: this.#parts.headerFile !== undefined });
    return { encrypted: true, dirty: false, specific: { type: 'luks', data } };
  }

  #unlocked(): BulkCipher {
    if (this.#cipher) return this.#cipher;
    throw new BlockError('internal', 'LUKS volume without a key');
  }

  async #amend(options: Parameters<Amender['amend']>[0], force: boolean): Promise<void> {
    const { services, file, headerFile } = this.#parts;
    if (!this.#volume) throw new BlockError('internal', 'LUKS volume without a key');
    const amendment = amendmentOf(options, force, (id) => services.secrets.get(id));
    const io = luksIo(headerFile ?? file);
    this.#volume = await amendLuks(services.crypto, io, this.#volume, amendment);
  }
}

/** Guest size in bytes: whole sectors behind the header. Negative in a file that ends within the header. */
function sizeOf({ file, header }: Pick<LuksParts, 'file' | 'header'>): number {
  return alignUp(file.size(), SECTOR) - header.payloadOffset;
}

/** Opens a volume; without a passphrase it can be described only. */
export async function open(context: OpenContext<typeof openOptions>): Promise<ImageDriver> {
  const { file, services } = context;
  const headerFile = await context.openChild('header', undefined, { optional: true });
  try {
    const io = luksIo(headerFile ?? file);
    // A missing passphrase is told before what is wrong with the header.
    const passphrase = context.keyless ? undefined : await passphraseOf(services, context.options);
    const header = await readLuksHeader(io, headerFile !== undefined);
    const volume =
      passphrase && (await openLuks(services.crypto, io, header, passphrase, services.limits.keyIterations));
    const parts: LuksParts = { file, headerFile, header, volume, services };
    if (sizeOf(parts) < 0) {
      throw new BlockError('io', 'Could not refresh total sector count: Input/output error');
    }
    return new LuksImage(parts);
  } catch (error) {
    await headerFile?.close();
    throw error;
  }
}
