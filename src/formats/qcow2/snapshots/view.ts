/** What an image held when a snapshot was taken, to read from. */
import type { MaybePromise } from '../../../base/async.ts';
import { divideUp } from '../../../base/offset.ts';
import type { FormatInfo, ImageDriver, Quirks } from '../../../block/capabilities.ts';
import type { Mapping } from '../../../block/mapping.ts';
import type { Limits, Storage } from '../../../storage/storage.ts';
import { SpecialReader } from '../guest/special.ts';
import { Qcow2State } from '../state.ts';
import { infoOf } from '../info.ts';
import { map } from '../guest/mapping.ts';

/**
 * A snapshot's content. Its guest size is that of the image now, as the real tool has it: it neither shows more than
 * that, nor saved machine state.
 */
export class SnapshotView implements ImageDriver {
  readonly virtualSize: number;
  readonly allocationUnit: number;
  readonly quirks: Quirks;
  readonly limits: Partial<Limits>;
  readonly children: readonly { readonly role: string; readonly node: Storage }[];
  readonly #state: Qcow2State;
  readonly #special: SpecialReader;

  /**
   * @param image stays open as long as the view is used.
   * @param size guest size in bytes when the snapshot was taken.
   */
  constructor(image: Qcow2State, l1Offset: number, l1Entries: number, size: number) {
    const guestTables = divideUp(size, image.geometry.l2Coverage);
    this.#state = new Qcow2State({
      file: image.file,
      data: image.data,
      header: { ...image.header, l1Offset, l1Entries: Math.min(l1Entries, guestTables) },
      storedHeaderLength: 0,
      filename: image.filename,
      readOnly: true,
      intent: image.intent,
      services: image.services,
      warn: image.warn,
      notice: image.reportDamage,
    });
    this.#state.cipher = image.cipher;
    this.#state.sparse = image.sparse;
    this.#special = new SpecialReader(this.#state);
    this.virtualSize = image.header.virtualSize;
    this.allocationUnit = image.geometry.clusterSize;
    this.quirks = { strideUnit: image.geometry.l2Coverage };
    this.limits = { requestAlignment: image.header.cryptMethod === 0 ? 1 : 512 };
    this.children = image.data === image.file ? [] : [{ role: 'data-file', node: image.data }];
  }

  map(offset: number, length: number): MaybePromise<Mapping> {
    return map(this.#state, offset, length);
  }

  readSpecial(offset: number, into: Uint8Array): Promise<void> {
    return this.#special.read(offset, into);
  }

  flush(): void {
    // Nothing is ever changed.
  }

  close(): void {
    // The image that has the snapshot closes the files.
  }

  info(): FormatInfo {
    return infoOf(this.#state);
  }
}
