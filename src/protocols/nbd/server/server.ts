/** The server: lets clients in, has each served, and ends when it is told to, or when the last one has gone. */
import { Semaphore } from '../../../base/async.ts';
import { asBlockError, type BlockError } from '../../../base/error.ts';
import type { Connection } from '../../../block/net.ts';
import type { Client, ImageServer, RunningServer, ServerSettings } from '../../../block/serving.ts';
import { uriOf } from '../address.ts';
import { Memory } from './memory.ts';
import { type Agreement, Negotiation } from './negotiation.ts';
import { Offered } from './offered.ts';
import { Requests } from './requests.ts';

/** Milliseconds that clients have to take the last answers. */
const PATIENCE = 3000;

class Server implements RunningServer {
  readonly done: Promise<void>;
  readonly #settings: ServerSettings;
  readonly #exports: ReadonlyMap<string, Offered>;
  readonly #memory: Memory;
  readonly #room: Semaphore;
  /** All who are connected. */
  readonly #work = new Set<Promise<void>>();
  readonly #negotiations = new Set<Negotiation>();
  readonly #clients = new Set<Requests>();
  #count = 0;
  /** What ends the server before its time: only what it calls can fail. */
  #failure: BlockError | undefined;
  #closing: Promise<void> | undefined;

  constructor(settings: ServerSettings) {
    const { exports, shared, services } = settings;
    this.#settings = settings;
    this.#exports = new Map(exports.map((one) => [one.name, new Offered(one, shared !== 1)]));
    this.#memory = new Memory(services.buffers);
    this.#room = new Semaphore(shared === 0 ? Number.POSITIVE_INFINITY : shared);
    this.done = this.#run();
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        await this.#room.acquire();
        const connection = await this.#settings.listener.accept();
        if (!connection) break;
        const work = this.#serve(connection)
          .catch((thrown: unknown) => this.#fail(thrown))
          .finally(() => {
            this.#work.delete(work);
            this.#room.release();
          });
        this.#work.add(work);
      }
    } finally {
      await this.close();
    }
    if (this.#failure) throw this.#failure;
  }

  #fail(thrown: unknown): void {
    this.#failure ??= asBlockError(thrown);
    void this.close();
  }

  async #serve(connection: Connection): Promise<void> {
    const agreement = await this.#negotiate(connection);
    if (!agreement) return connection.close();
    const share = this.#memory.share();
    const requests = new Requests(agreement, share);
    const { name } = agreement.offered.export;
    const client: Client = { number: ++this.#count, export: name, encrypted: this.#settings.tls !== undefined };
    this.#clients.add(requests);
    this.#settings.connected?.(client);
    // It has come in the last moment.
    if (this.#closing) requests.close();
    const reason = await requests.run();
    this.#memory.end(share);
    this.#clients.delete(requests);
    this.#settings.disconnected?.(client, reason);
    if (this.#clients.size === 0 && !this.#settings.persistent) void this.close();
  }

  /** The handshake, for so long as it may take; undefined if nothing comes of it. */
  async #negotiate(connection: Connection): Promise<Agreement | undefined> {
    const { tls, handshakeLimit, services } = this.#settings;
    const negotiation = new Negotiation(connection, this.#exports, tls);
    const over = new AbortController();
    this.#negotiations.add(negotiation);
    const watch = async (): Promise<void> => {
      await services.wait(handshakeLimit * 1000, over.signal);
      if (!over.signal.aborted) negotiation.connection.close();
    };
    if (handshakeLimit > 0) void watch();
    try {
      return await negotiation.run();
    } catch {
      // Whoever it was has not become a client.
      negotiation.connection.close();
      return undefined;
    } finally {
      over.abort();
      this.#negotiations.delete(negotiation);
    }
  }

  async #end(): Promise<void> {
    const { listener, services } = this.#settings;
    await listener.close();
    for (const negotiation of this.#negotiations) negotiation.connection.close();
    const answered = new AbortController();
    const clients = [...this.#clients];
    void Promise.all(clients.map((client) => client.stop())).then(() => answered.abort());
    if (clients.length > 0) await services.wait(PATIENCE, answered.signal);
    for (const client of this.#clients) client.close();
    await Promise.all(this.#work);
  }
}

/** The server of the protocol. */
export const nbdServer: ImageServer = {
  uri: ({ address }, name, encrypted) => uriOf(address, name, encrypted),
  serve: (settings) => new Server(settings),
};
