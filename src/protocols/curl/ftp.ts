/** Files on servers of FTP (RFC 959, RFC 3659): one connection, on which files are read from any byte on. */
import { BlockError, unsupported } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import type { FtpPort, FtpServer, FtpSession, FtpTransfer } from '../../block/ftp.ts';
import type { Login } from '../../block/http.ts';
import type { Services } from '../../block/services.ts';
import { hasEnded, Passing, persist, type Remote } from './remote.ts';
import { type Address, decoded } from './url.ts';

/** Who asks, and how. */
export interface FtpSettings {
  readonly address: Address;
  readonly login: Login | undefined;
  readonly verify: boolean;
  /** Seconds. */
  readonly timeout: number;
}

/** As curl says it. */
const ANONYMOUS: Login = { username: 'anonymous', password: 'ftp@example.com' };

/** So many bytes are read and thrown away rather than that a transfer is begun anew. */
const SKIPPED = MiB / 4;

/** Somebody who waits for bytes. */
interface Reading {
  readonly offset: number;
  readonly into: Uint8Array;
  filled: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** A transfer that is under way. */
interface Current {
  readonly transfer: FtpTransfer;
  /** Where its next byte is in the file. */
  position: number;
  /** What has come, and was not taken yet. */
  left: Uint8Array;
}

/** A file. */
export class FtpFile implements Remote {
  readonly head: undefined;
  readonly size: number;
  readonly #services: Services;
  readonly #port: FtpPort;
  readonly #server: FtpServer;
  readonly #path: string;
  readonly #timeout: number;
  readonly #waiting: Reading[] = [];
  #busy = false;
  #session: FtpSession | undefined;
  #current: Current | undefined;

  private constructor(services: Services, port: FtpPort, parts: FtpParts, session: FtpSession, size: number) {
    this.#services = services;
    this.#port = port;
    this.#server = parts.server;
    this.#path = parts.path;
    this.#timeout = parts.timeout;
    this.#session = session;
    this.size = size;
  }

  /** @throws BlockError with what curl says when a file cannot be opened. */
  static async open(services: Services, settings: FtpSettings): Promise<FtpFile> {
    const { ftp } = services;
    if (!ftp) throw unsupported('There is no network here');
    const parts = partsOf(settings);
    const session = await ftp.connect(parts.server);
    try {
      return new FtpFile(services, ftp, parts, session, await sizeOf(session, parts.path));
    } catch (error) {
      session.close();
      throw error;
    }
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ offset, into, filled: 0, resolve, reject });
      if (!this.#busy) this.#work().catch(() => undefined);
    });
  }

  /** One reading after the other: there is one transfer at a time. */
  async #work(): Promise<void> {
    this.#busy = true;
    for (let reading = this.#next(); reading; reading = this.#next()) {
      await this.#serve(reading);
    }
    this.#busy = false;
  }

  async #serve(reading: Reading): Promise<void> {
    try {
      await persist(this.#services, this.#timeout, () => this.#fill(reading));
      reading.resolve();
    } catch (error) {
      reading.reject(error);
    }
  }

  /** Who gets the next bytes: whoever wants what comes anyway, before those who were first. */
  #next(): Reading | undefined {
    const position = this.#current?.position ?? 0;
    const index = this.#waiting.findIndex(({ offset }) => offset === position);
    return this.#waiting.splice(Math.max(0, index), 1)[0];
  }

  async #fill(reading: Reading): Promise<void> {
    try {
      while (reading.filled < reading.into.length) await this.#take(reading);
    } catch (error) {
      if (!hasEnded(error)) throw error;
      this.#hangUp();
      throw new Passing(error);
    }
  }

  /** Takes the next piece of what comes. */
  async #take(reading: Reading): Promise<void> {
    const offset = reading.offset + reading.filled;
    const current = await this.#transferAt(offset);
    const bytes = current.left.length > 0 ? current.left : await current.transfer.next();
    const missing = reading.into.length - reading.filled;
    if (!bytes) {
      this.#current = undefined;
      throw new BlockError('io', `end of response with ${missing} bytes missing`);
    }
    const skipped = Math.min(bytes.length, offset - current.position);
    const taken = Math.min(bytes.length - skipped, missing);
    reading.into.set(bytes.subarray(skipped, skipped + taken), reading.filled);
    reading.filled += taken;
    current.position += skipped + taken;
    current.left = bytes.subarray(skipped + taken);
  }

  async #transferAt(offset: number): Promise<Current> {
    const { position = -1 } = this.#current ?? {};
    if (this.#current && position <= offset && offset - position <= SKIPPED) return this.#current;
    this.#current = undefined;
    const session = await this.#connected();
    const transfer = await session.read(this.#path, offset);
    this.#current = { transfer, position: offset, left: new Uint8Array() };
    return this.#current;
  }

  async #connected(): Promise<FtpSession> {
    if (this.#session) return this.#session;
    const session = await this.#port.connect(this.#server);
    this.#session = session;
    if ((await sizeOf(session, this.#path)) === this.size) return session;
    this.#hangUp();
    throw new BlockError('io', 'The file on the server has changed since it was opened');
  }

  #hangUp(): void {
    this.#session?.close();
    this.#session = undefined;
    this.#current = undefined;
  }

  close(): void {
    this.#hangUp();
  }
}

/** What an address means to FTP. */
interface FtpParts {
  readonly server: FtpServer;
  /** From the directory on that the server begins in; with `/` in front from its root. */
  readonly path: string;
  readonly timeout: number;
}

function partsOf({ address, login, verify, timeout }: FtpSettings): FtpParts {
  const { scheme, host, port, path } = address;
  const name = decoded(path.slice(1).replace(/;type=[aid]$/i, ''));
  if (/[\0\r\n]/.test(name)) throw new BlockError('invalid-argument', 'URL rejected: Bad path');
  const known = login ?? address.login ?? ANONYMOUS;
  const secure = scheme === 'ftps';
  return { server: { host, port, secure, verify, login: known, patience: timeout * 1000 }, path: name, timeout };
}

async function sizeOf(session: FtpSession, path: string): Promise<number> {
  const size = path === '' || path.endsWith('/') ? undefined : await session.size(path);
  if (size === undefined) throw new BlockError('io', "Server didn't report file size.");
  return size;
}
