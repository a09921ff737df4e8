/** A server's export over as many connections as are of use: opened, opened again when they fail, shared by requests. */
import { BlockError, unsupported } from '../../base/error.ts';
import { MiB } from '../../base/offset.ts';
import type { SocketAddress } from '../../block/net.ts';
import { secondsOf, type Services } from '../../block/services.ts';
import type { BlockStates, Request } from './answer.ts';
import { type Export, shakeHands, type Wanted } from './handshake.ts';
import { Flag } from './numbers.ts';
import { type Patience, Transmission } from './transmission.ts';

/** What a client is told. */
export interface ClientOptions {
  readonly address: SocketAddress;
  readonly wanted: Wanted;
  /** Seconds during which the first connection is tried again. */
  readonly openTimeout: number;
  /** Seconds during which a connection that was lost is tried again, while requests wait. */
  readonly reconnectDelay: number;
}

/** How long nothing may come while a server has to answer. Flushing or zeroing much takes slow disks minutes. */
const PATIENCE: Patience = { reads: 60000, changes: 600000 };
/** The same for each step of the handshake. */
const HANDSHAKE_PATIENCE = 30000;

/** Milliseconds between two attempts to connect. */
const RETRY = 250;

/** Most connections to a server that can have several. */
const MAX_CONNECTIONS = 4;

/** Requests of at least so many bytes are worth a connection of their own. */
const LARGE = MiB / 4;

/** So many of them have to wait before one is opened. */
const WAITED = 32;

/** Connects, and does the handshake. */
async function connectOnce({ net }: Services, { address, wanted }: ClientOptions): Promise<Transmission> {
  if (!net) throw unsupported('There is no network here');
  const connection = await net.connect(address);
  try {
    connection.patience(HANDSHAKE_PATIENCE);
    const session = await shakeHands(connection, wanted);
    session.connection.patience(0);
    return new Transmission(session, PATIENCE);
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Connects, again and again for so many seconds. @throws BlockError the last failure. */
async function connectFor(services: Services, options: ClientOptions, seconds: number): Promise<Transmission> {
  const end = secondsOf(services) + seconds;
  for (;;) {
    try {
      return await connectOnce(services, options);
    } catch (error) {
      if (secondsOf(services) + RETRY / 1000 > end) throw error;
      await services.wait(RETRY);
    }
  }
}

/** An export that is open. */
export class Client {
  readonly #services: Services;
  readonly #options: ClientOptions;
  /** What the server said in the first place; it has to be the same after each reconnection. */
  readonly export: Export;
  #connections: Transmission[];
  #opening = false;
  /** Large requests that found no idle connection. */
  #waited = 0;
  #reconnecting: Promise<void> | undefined;
  /** Until when lost connections are tried again, by the clock; undefined while there is one. */
  #patientUntil: number | undefined;
  #closed = false;

  private constructor(services: Services, options: ClientOptions, first: Transmission) {
    this.#services = services;
    this.#options = options;
    this.export = first.session.export;
    this.#connections = [first];
  }

  /** Opens an export. @throws BlockError why there is no connection, or what the server has against it. */
  static async open(services: Services, options: ClientOptions): Promise<Client> {
    return new Client(services, options, await connectFor(services, options, options.openTimeout));
  }

  /** Sends a request, again on another connection if the one that it was on is lost and there is time left. */
  async request(request: Request): Promise<BlockStates | undefined> {
    for (;;) {
      const connection = await this.#choose(request);
      try {
        return await connection.send(request);
      } catch (error) {
        if (error !== connection.failure || this.#closed || this.#options.reconnectDelay === 0) throw error;
      }
    }
  }

  /** Hangs up. Nothing may be under way. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#connections) connection.close();
  }

  /** The connection with the least to do; where all are busy, another one is opened for those that come later. */
  async #choose(request: Request): Promise<Transmission> {
    if (this.#connections.some(({ failure }) => failure)) {
      this.#connections = this.#connections.filter(({ failure }) => !failure);
    }
    if (this.#connections.length === 0) await this.#reconnect();
    let best = this.#connections[0] as Transmission;
    for (const connection of this.#connections) if (connection.load < best.load) best = connection;
    if (best.load > 0 && request.length >= LARGE) this.#openAnother();
    return best;
  }

  #openAnother(): void {
    const several = (this.export.flags & Flag.multiConn) !== 0;
    if (!several || this.#opening || this.#connections.length >= MAX_CONNECTIONS) return;
    // What is done soon is done before another connection is there.
    if (++this.#waited < WAITED) return;
    this.#opening = true;
    // Nobody waits for it: a server may well accept it only when another one has ended.
    this.#connectMore().catch(() => undefined);
  }

  async #connectMore(): Promise<void> {
    const connection = await connectOnce(this.#services, this.#options);
    this.#opening = false;
    if (this.#closed || !this.#isSame(connection.session.export)) connection.close();
    else this.#connections.push(connection);
  }

  #isSame({ size, flags, context }: Export): boolean {
    const known = this.export;
    return size === known.size && flags === known.flags && (context === undefined) === (known.context === undefined);
  }

  /** Makes a connection again; all requests that need one wait for the same attempt. */
  #reconnect(): Promise<void> {
    this.#reconnecting ??= this.#connectAgain().finally(() => {
      this.#reconnecting = undefined;
    });
    return this.#reconnecting;
  }

  async #connectAgain(): Promise<void> {
    const now = secondsOf(this.#services);
    this.#patientUntil ??= now + this.#options.reconnectDelay;
    let connection: Transmission;
    try {
      connection = await connectFor(this.#services, this.#options, this.#patientUntil - now);
    } catch (cause) {
      throw new BlockError('io', 'Input/output error', { cause });
    }
    if (!this.#isSame(connection.session.export)) {
      connection.close();
      throw new BlockError('io', 'Input/output error', { cause: 'another export than before' });
    }
    this.#connections.push(connection);
    this.#patientUntil = undefined;
  }
}
