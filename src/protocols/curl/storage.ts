/** A file on a server as a storage: read only, with what went wrong said in curl's words. */
import { isPromise, type MaybePromise } from '../../base/async.ts';
import { asBlockError, ioError } from '../../base/error.ts';
import type { Quirks } from '../../block/capabilities.ts';
import type { ProtocolContext, ProtocolStorage } from '../../block/protocol.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Extent, Limits, StorageDriver } from '../../storage/storage.ts';
import { ReadAhead } from './readAhead.ts';
import type { Remote } from './remote.ts';
import type { Scheme } from './url.ts';

/** A file on a server as a storage. */
export class CurlStorage implements StorageDriver {
  readonly limits: Limits = {
    requestAlignment: 1,
    minMemoryAlignment: 512,
    optimalMemoryAlignment: 4096,
    maxIov: 1024,
    distant: true,
  };
  readonly #remote: Remote;
  readonly #blocks: ReadAhead;
  readonly #complain: ProtocolContext['complain'];
  /** What was said last: requests that were under way together fail together. */
  #said = '';

  /** @param readahead bytes; undefined: as many as it pays. */
  constructor(remote: Remote, readahead: number | undefined, complain: ProtocolContext['complain']) {
    this.#remote = remote;
    this.#blocks = new ReadAhead(remote, readahead);
    this.#complain = complain;
  }

  size(): number {
    return this.#remote.size;
  }

  read(offset: number, into: Uint8Array): MaybePromise<void> {
    const read = this.#blocks.read(offset, into);
    if (isPromise(read)) return read.catch((thrown: unknown) => this.#fail(thrown, offset, into.length));
  }

  /** Whoever reads gets to know no more than that it has failed; the reason is on a line of its own, as with the real tool. */
  #fail(thrown: unknown, offset: number, length: number): never {
    const error = asBlockError(thrown);
    const line = `curl: ${error.message}${error.hint === undefined ? '' : `\n${error.hint}`}`;
    if (line !== this.#said) this.#complain?.(line);
    this.#said = line;
    throw ioError({ offset, length, access: 'read' }, { cause: error });
  }

  close(): void {
    this.#remote.close();
  }
}

/** An open file on a server. */
export class CurlFile extends CheckedStorage implements ProtocolStorage {
  readonly protocol: string;
  readonly identity: string;
  readonly quirks: Quirks = { unknownClusters: true };

  /** @param identity equal for two openings of one file. */
  constructor(driver: CurlStorage, protocol: Scheme, name: string, identity: string) {
    super(driver, { name, readOnly: true });
    this.protocol = protocol;
    this.identity = identity;
  }

  /** Nothing is known about holes; what the last sector has behind the end belongs to the data. */
  override status(_offset: number, length: number): Extent {
    return { length: Math.max(1, length), kind: 'data' };
  }
}
