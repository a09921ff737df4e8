/** What a protocol implements to give images to others: a server of opened images. */
import type { Listener, TlsSettings } from './net.ts';
import type { ImageNode } from './node/node.ts';
import type { Services } from './services.ts';

/** An image under the name by which clients ask for it. */
export interface Export {
  /** At most 4,096 bytes; empty for clients that name none. */
  readonly name: string;
  /** For people, who see it in lists. */
  readonly description?: string | undefined;
  /** Whoever gave it closes it, when the server has ended. */
  readonly node: ImageNode;
  /** Clients may change it. */
  readonly writable: boolean;
  /** Bitmaps of the image whose dirty blocks clients may ask for. */
  readonly bitmaps: readonly string[];
  /** Clients may ask which image of the chain has what. */
  readonly allocationDepth: boolean;
}

/** A client of a server. */
export interface Client {
  /** Counts from 1. */
  readonly number: number;
  /** The export that it has chosen. */
  readonly export: string;
  /** It sees what is written on other connections, and they are flushed with its own. */
  readonly encrypted: boolean;
}

/** What a server needs. */
export interface ServerSettings {
  readonly services: Services;
  /** Closed by the server. */
  readonly listener: Listener;
  /** Names are unlike each other. */
  readonly exports: readonly Export[];
  /** Undefined: nothing is encrypted; otherwise everything is. */
  readonly tls?: TlsSettings | undefined;
  /** So many clients are served at a time; others wait. 0: any number. */
  readonly shared: number;
  /** The server goes on when the last client has gone. */
  readonly persistent: boolean;
  /** Seconds that a client may take until it has chosen an export. 0: any time. */
  readonly handshakeLimit: number;
  /** A client has chosen an export. */
  connected?(client: Client): void;
  /** It has gone. @param reason why, if not because it wanted to. */
  disconnected?(client: Client, reason: string | undefined): void;
}

/** A server that is at work. */
export interface RunningServer {
  /**
   * Ends it: nobody is let in any more, what clients have asked for is answered, and all are hung up on. Who does not take
   * the answers is waited for shortly.
   */
  close(): Promise<void>;
  /** Resolves when it has ended; rejects if it could not go on. */
  readonly done: Promise<void>;
}

/** The server of a protocol. */
export interface ImageServer {
  /** The name under which clients open an export. */
  uri(listener: Listener, name: string, encrypted: boolean): string;
  /** Serves from now on. */
  serve(settings: ServerSettings): RunningServer;
}
