/** A file of a server as a storage: long requests in many packets at a time. */
import { allOf, type MaybePromise, RangeLock } from '../../base/async.ts';
import { asBlockError, type BlockError, unsupported } from '../../base/error.ts';
import { alignUp, MAX_SIZE, SECTOR } from '../../base/offset.ts';
import { systemError } from '../../base/posix.ts';
import type { Quirks } from '../../block/capabilities.ts';
import type { ProtocolContext, ProtocolStorage } from '../../block/protocol.ts';
import { CheckedStorage, type CheckedOptions } from '../../storage/checked.ts';
import type { Extent, Limits, Preallocation, StorageDriver, ZeroFlags } from '../../storage/storage.ts';
import type { Lease } from './connections.ts';
import { Extension, Status } from './numbers.ts';
import type { Session } from './session.ts';
import * as sftp from './sftp.ts';

/** The limits of files of a server, as the real tool shows them. */
const LIMITS: Limits = { requestAlignment: 512, minMemoryAlignment: 512, optimalMemoryAlignment: 4096, maxIov: 1024 };

/** A file that is open. */
export interface OpenFile {
  readonly lease: Lease;
  readonly handle: sftp.Handle;
  /** Bytes. */
  readonly size: number;
  /** What the server is called in warnings. */
  readonly host: string;
}

/** An open file as a storage. */
export class SshStorage implements StorageDriver {
  readonly limits: Limits = LIMITS;
  readonly #session: Session;
  readonly #file: OpenFile;
  readonly #context: Pick<ProtocolContext, 'cache' | 'writable' | 'warn'>;
  #size: number;
  /** Writers share it; who changes the size has it alone: what is written behind the end meanwhile would be cut off. */
  readonly #resizing = new RangeLock();
  #warned = false;

  constructor(file: OpenFile, context: Pick<ProtocolContext, 'cache' | 'writable' | 'warn'>) {
    this.#file = file;
    this.#session = file.lease.session;
    this.#context = context;
    this.#size = file.size;
  }

  size(): number {
    return this.#size;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return allOf(
      [...pieces(into, this.#session.limits.read)].map(([at, piece]) => this.#readPiece(offset + at, piece)),
    );
  }

  /** Asks again for what is missing: servers may give less than they were asked for. */
  async #readPiece(offset: number, into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; ) {
      const rest = at === 0 ? into : into.subarray(at);
      try {
        at += await sftp.read(this.#session, this.#file.handle, offset + at, rest);
      } catch (error) {
        throw this.#failed(error, offset, into.length, 'read');
      }
    }
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    await this.#resizing.run(offset, offset + from.length, () => this.#write(offset, from), 'shared');
    if (this.#context.cache === 'writethrough' || this.#context.cache === 'directsync') await this.flush();
  }

  async #write(offset: number, from: Uint8Array): Promise<void> {
    const { handle } = this.#file;
    const work = [...pieces(from, this.#session.limits.write)].map(async ([at, piece]) => {
      try {
        await sftp.write(this.#session, handle, offset + at, piece);
      } catch (error) {
        throw await this.#fullOr(error, offset + at, piece.length);
      }
      this.#size = Math.max(this.#size, offset + at + piece.length);
    });
    await allOf(work);
  }

  /** Servers say of a full disk that something has failed: whether it is full can be asked. */
  async #fullOr(thrown: unknown, offset: number, length: number): Promise<BlockError> {
    const failed = this.#failed(thrown, offset, length, 'write');
    const unclear = thrown instanceof sftp.StatusError && thrown.status === Status.failure;
    if (!unclear || !this.#session.extensions.has(Extension.fstatvfs)) return failed;
    const free = await sftp.freeSpace(this.#session, this.#file.handle).catch(() => undefined);
    if (free === undefined || free >= length) return failed;
    return systemError('ENOSPC', undefined, failed.context, thrown);
  }

  /** An error of a request as one of the storage: its words are those of the system, the server's are its cause. */
  #failed(thrown: unknown, offset: number, length: number, access: string): BlockError {
    const error = asBlockError(thrown);
    if (!(thrown instanceof sftp.StatusError)) return error;
    return systemError(error.code ?? 'EIO', undefined, { offset, length, access }, error);
  }

  /** Behind the end there is nothing to write: the file gets longer, and has a hole there. */
  async writeZeroes(offset: number, length: number, _flags: ZeroFlags): Promise<void> {
    if (offset < this.#size) throw unsupported('SFTP cannot write zeroes');
    await this.#resizing.run(0, MAX_SIZE, async () => {
      if (offset < this.#size) throw unsupported('SFTP cannot write zeroes');
      await this.#resize(offset + length);
    });
  }

  async truncate(size: number, preallocation: Preallocation): Promise<void> {
    if (preallocation !== 'off') throw unsupported(`Unsupported preallocation mode '${preallocation}'`);
    await this.#resizing.run(0, MAX_SIZE, () => this.#resize(size));
  }

  async #resize(size: number): Promise<void> {
    if (size === this.#size) return;
    try {
      await sftp.resize(this.#session, this.#file.handle, size);
    } catch (error) {
      throw this.#failed(error, size, 0, 'truncate');
    }
    this.#size = size;
  }

  async flush(): Promise<void> {
    if (!this.#context.writable || this.#context.cache === 'unsafe') return;
    if (this.#session.extensions.has(Extension.fsync)) {
      try {
        return await sftp.fsync(this.#session, this.#file.handle);
      } catch (error) {
        throw this.#failed(error, 0, this.#size, 'flush');
      }
    }
    if (this.#warned) return;
    this.#warned = true;
    const hint = 'to support fsync, you need OpenSSH >= 6.3';
    this.#context.warn?.(`ssh server ${this.#file.host} does not support fsync`, hint);
  }

  async close(): Promise<void> {
    const { lease, handle } = this.#file;
    try {
      if (!this.#session.failure) await sftp.close(this.#session, handle);
    } catch (error) {
      if (this.#context.writable) throw this.#failed(error, 0, this.#size, 'close');
    } finally {
      lease.release();
    }
  }
}

/** Bytes in pieces of at most `limit` bytes. */
function* pieces(bytes: Uint8Array, limit: number): Generator<readonly [at: number, piece: Uint8Array]> {
  for (let at = 0; at < bytes.length; at += limit) {
    yield [at, bytes.length <= limit ? bytes : bytes.subarray(at, at + limit)];
  }
}

/** A file of a server. */
export class SshFile extends CheckedStorage implements ProtocolStorage {
  readonly protocol: string = 'ssh';
  readonly identity: string;
  /** The real tool gets to know nothing about clusters from servers. */
  readonly quirks: Quirks = { unknownClusters: true };

  constructor(driver: SshStorage, options: CheckedOptions & { readonly identity: string }) {
    super(driver, options);
    this.identity = options.identity;
  }

  /** Servers do not tell of holes; the last sector is whole, as the real tool has it. */
  override status(offset: number, length: number): MaybePromise<Extent> {
    const end = alignUp(this.size(), SECTOR);
    return offset < end ? { length: Math.min(length, end - offset), kind: 'data' } : super.status(offset, length);
  }
}
