/** The port through which other machines, and other programs on this one, are reached. */
import type { MaybePromise } from '../base/async.ts';
import type { TlsCredentials } from './objects.ts';

/** Where somebody listens. */
export type SocketAddress =
  | {
      readonly type: 'inet';
      /** Name or number, without brackets. */
      readonly host: string;
      /** Number, or the name of a service. */
      readonly port: string;
      /** Which families of addresses may be used. Default: both. */
      readonly families?: 'ipv4' | 'ipv6';
    }
  | {
      readonly type: 'unix';
      readonly path: string;
      /** The name is no path, but one of Linux's abstract namespace. */
      readonly abstract?: boolean;
    }
  /** A socket that this process was given when it was started. */
  | { readonly type: 'fd'; readonly number: number };

/** How a connection is encrypted. */
export interface TlsSettings {
  readonly credentials: TlsCredentials;
  /** Whom the other side's certificate has to be for; undefined: nobody can be checked. */
  readonly hostname: string | undefined;
  /** The passphrase of the private key, where `credentials` name one. */
  readonly passphrase?: Uint8Array;
}

/**
 * Bytes in both directions. Once something has failed (kind `io`: reset, too long silent), everything fails with the same
 * error.
 */
export interface ByteStreams {
  /** Fills `into` and gives its length, less only at the end of what the other side sends. One call at a time. */
  read(into: Uint8Array): MaybePromise<number>;
  /**
   * Sends the pieces, one behind the other, at once. Resolves when they are not needed any more. Calls may follow each other
   * without waiting.
   */
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /** From now on everything fails when nothing moves for so many milliseconds; 0: it never does. */
  patience(milliseconds: number): void;
  /** Ends the connection; what was written before is sent if that takes no time. A second call does nothing. */
  close(): void;
}

/** A connection with somebody. */
export interface Connection extends ByteStreams {
  /**
   * Goes on encrypted, as the side that it is: the client of TLS is the one who has connected. The old connection is not to be
   * used any more.
   * @throws BlockError with the real tool's words for credentials that do not serve, and for whom they do not trust.
   */
  secure(tls: TlsSettings): Promise<Connection>;
}

/** Somebody who listens. */
export interface Listener {
  /** Where: with the port that was found, if any would do. */
  readonly address: SocketAddress;
  /**
   * The next connection; undefined when the listener is closed. One call at a time. Those that nobody takes wait, and
   * beyond a number of them others are turned away.
   */
  accept(): Promise<Connection | undefined>;
  /** Stops listening, and hangs up on those that were not taken. A Unix socket is gone then. A second call does nothing. */
  close(): Promise<void>;
}

/** Makes connections. */
export interface NetPort {
  /**
   * Connects to whoever listens there.
   * @throws BlockError `Failed to connect to 'ADDRESS': Connection refused`, or why the address is none.
   */
  connect(address: SocketAddress): Promise<Connection>;
  /**
   * Listens there. A Unix socket is made for its owner only; one that is there already is replaced if nobody listens at it any
   * more. Absent: this host lets nobody connect.
   * @throws BlockError `Failed to bind socket to ADDRESS: Address already in use`, or what else is in the way.
   */
  listen?(address: SocketAddress): Promise<Listener>;
}

/** An address as messages have it. */
export function addressText(address: SocketAddress): string {
  if (address.type === 'inet') return `${address.host}:${address.port}`;
  return address.type === 'unix' ? address.path : String(address.number);
}
