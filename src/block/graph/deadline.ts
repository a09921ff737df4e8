/** A limit on the time of an operation, held where it cannot be passed by: at everything that reads. */
import { BlockError } from '../../base/error.ts';
import { secondsOf, type Services } from '../services.ts';
import type { Storage } from '../../storage/storage.ts';

/** Reads between two looks at the clock. */
const READS = 16;

/** The end of the time that an operation has. */
export class Deadline {
  readonly #services: Pick<Services, 'now'>;
  readonly #seconds: number;
  readonly #start: number;
  #reads = 0;

  /** @param seconds from now on. */
  constructor(services: Pick<Services, 'now'>, seconds: number) {
    this.#services = services;
    this.#seconds = seconds;
    this.#start = secondsOf(services);
  }

  /** @throws BlockError `limit` if the time is over. */
  check(): void {
    if (this.#reads++ % READS !== 0) return;
    if (secondsOf(this.#services) - this.#start <= this.#seconds) return;
    throw new BlockError('limit', `The image takes longer than ${this.#seconds} seconds, which is the limit`, {
      posix: { code: 'ETIMEDOUT', text: `Took longer than ${this.#seconds} seconds, which is the limit` },
    });
  }

  /** Has a storage look at the clock when it reads. It stays what it is: what is written and copied is not slowed down. */
  watch(storage: Pick<Storage, 'read' | 'readPadded' | 'status'>): void {
    const read = storage.read.bind(storage);
    const readPadded = storage.readPadded.bind(storage);
    const status = storage.status.bind(storage);
    Object.assign(storage, {
      read: (offset: number, into: Uint8Array) => {
        this.check();
        return read(offset, into);
      },
      readPadded: (offset: number, into: Uint8Array) => {
        this.check();
        return readPadded(offset, into);
      },
      status: (offset: number, length: number) => {
        this.check();
        return status(offset, length);
      },
    });
  }
}
