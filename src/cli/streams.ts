/** The standard streams, written at once and without Node's stream objects, whose loading takes time. */
import { writeSync } from 'node:fs';
import { bytesOf } from '../base/text.ts';

/** Characters kept back before they are written. */
const KEEP = 65536;
/** How long to wait for a full pipe, in milliseconds. */
const WAIT = 2;

/** One output stream of the process. A reader that has gone away is no error: what follows is dropped. */
export class OutputStream {
  readonly #fd: number;
  #kept = '';
  #closed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** True if the reader has gone away. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Writes now or a little later. */
  write(text: string): void {
    this.#kept += text;
    // Progress has to be seen while it happens.
    if (this.#kept.length >= KEEP || text.endsWith('\r')) this.flush();
  }

  /** Writes what was kept back. */
  flush(): void {
    let rest: Uint8Array = bytesOf(this.#kept);
    this.#kept = '';
    while (rest.length > 0 && !this.#closed) rest = rest.subarray(this.#writeSome(rest));
  }

  #writeSome(bytes: Uint8Array): number {
    try {
      return writeSync(this.#fd, bytes);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'EAGAIN') {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT);
        return 0;
      }
      // EPIPE, or a stream that was closed from the start: nobody is there to be told.
      this.#closed = true;
      return 0;
    }
  }
}
