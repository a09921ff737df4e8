/** The port through which servers of FTP are asked. */
import type { Login } from './http.ts';

/** Where a server is, and how one comes in. */
export interface FtpServer {
  /** Name or number, without brackets. */
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte on, as `ftps://` has it. */
  readonly secure: boolean;
  /** Whether its certificate has to be trusted. */
  readonly verify: boolean;
  readonly login: Login;
  /** Milliseconds without an answer, or without any byte while somebody waits for one, after which it counts as gone; 0: none. */
  readonly patience: number;
}

/** A file as it comes, from some byte on. */
export interface FtpTransfer {
  /** The next bytes; undefined at the end of the file. Failures are those of {@link FtpSession}. */
  next(): Promise<Uint8Array | undefined>;
}

/**
 * A connection on which one is logged in. Everything throws BlockErrors: kind `not-found` for files that are not there, `io`
 * when the connection has ended, after which it is of no use any more.
 */
export interface FtpSession {
  /** Bytes of a file; undefined if the server does not say. */
  size(path: string): Promise<number | undefined>;
  /** Begins to read a file at that byte. There is one transfer at a time: the one before is given up. */
  read(path: string, offset: number): Promise<FtpTransfer>;
  /** Hangs up. A second call does nothing. */
  close(): void;
}

/** Connects to servers. */
export interface FtpPort {
  /** @throws BlockError in curl's words. */
  connect(server: FtpServer): Promise<FtpSession>;
}
