/** The port of FTP over `basic-ftp`: its connection, its login and its ways to a data connection; transfers are read here. */
import { isIP } from 'node:net';
import { Client, FTPError } from 'basic-ftp';
import { BlockError } from '../../base/error.ts';
import type { FtpServer, FtpSession, FtpTransfer } from '../../block/ftp.ts';
import { connectionLost, timedOut, unanswered } from './curlWords.ts';
import { Incoming } from './incoming.ts';
import { trusted } from './trust.ts';

/** {@link FtpPort.connect}. */
export async function connect(server: FtpServer): Promise<FtpSession> {
  const { host, port, secure, verify, patience } = server;
  const { username, password } = server.login;
  const client = new Client(patience);
  const since = Date.now();
  try {
    if (secure) {
      const trust = verify ? { secureContext: trusted().context } : { rejectUnauthorized: false };
      await client.connectImplicitTLS(host, port, { ...(isIP(host) === 0 ? { servername: host } : {}), ...trust });
    } else await client.connect(host, port);
  } catch (error) {
    client.close();
    throw failed(error, server, since);
  }
  const session = new Session(client, server);
  const login = async (): Promise<void> => {
    await client.sendIgnoringError('OPTS UTF8 ON');
    await client.login(username, password);
    await client.send('TYPE I');
    if (!secure) return;
    await client.sendIgnoringError('PBSZ 0');
    await client.sendIgnoringError('PROT P');
  };
  try {
    await session.ask(login);
  } catch (error) {
    session.close();
    throw error;
  }
  return session;
}

function failed(thrown: unknown, { host, port, patience }: FtpServer, since: number): BlockError {
  if (thrown instanceof BlockError) return thrown;
  if (thrown instanceof FTPError) {
    const denied = thrown.code === 530 || thrown.code === 331 || thrown.code === 332;
    if (denied) return new BlockError('permission-denied', `Access denied: ${thrown.code}`, { cause: thrown });
    return new BlockError('io', `The server answered: ${thrown.message.split('\n')[0] ?? ''}`, { cause: thrown });
  }
  const error = thrown as NodeJS.ErrnoException;
  if (error.message.startsWith('Timeout')) return timedOut(patience, 0);
  if (/closed|closing/i.test(error.message)) return connectionLost(error);
  return unanswered(error, { host, port }, since);
}

class Session implements FtpSession {
  readonly #client: Client;
  readonly #server: FtpServer;
  /** Resolves when the server has done with the transfer that was begun last. */
  #transfer: Promise<unknown> | undefined;

  constructor(client: Client, server: FtpServer) {
    this.#client = client;
    this.#server = server;
  }

  /** @throws BlockError for what `body` throws; the connection is closed then, unless it is the server that refuses. */
  async ask<T>(body: () => Promise<T>): Promise<T> {
    const since = Date.now();
    try {
      return await body();
    } catch (thrown) {
      if (!(thrown instanceof FTPError)) this.close();
      throw failed(thrown, this.#server, since);
    }
  }

  async size(path: string): Promise<number | undefined> {
    return this.ask(async () => {
      try {
        const { message } = await this.#client.send(`SIZE ${path}`);
        const [, digits] = /^213 +(\d{1,19})\b/.exec(message) ?? [];
        return digits === undefined ? undefined : Number(digits);
      } catch (error) {
        if (!(error instanceof FTPError)) throw error;
        if (error.code === 550) throw missing(error);
        return undefined;
      }
    });
  }

  async read(path: string, offset: number): Promise<FtpTransfer> {
    await this.#giveUp();
    return this.ask(async () => {
      await this.#client.prepareTransfer(this.#client.ftp);
      if (offset > 0) await this.#client.send(`REST ${offset}`);
      return this.#retrieve(path);
    });
  }

  async #retrieve(path: string): Promise<FtpTransfer> {
    const { ftp } = this.#client;
    const data = ftp.dataSocket;
    if (!data) throw connectionLost(undefined);
    const { patience } = this.#server;
    const incoming = new Incoming(data, patience, {
      silent: (received) => timedOut(patience, received),
      broken: connectionLost,
    });
    let done: Promise<unknown> = Promise.resolve();
    const start = new Promise<void>((began) => {
      done = ftp.handle(`RETR ${path}`, (answer, task) => {
        if (answer instanceof Error) return task.reject(answer);
        if (answer.code >= 200) return task.resolve(answer);
        // The bytes are what comes now, and what is waited for.
        ftp.socket.setTimeout(0);
        began();
      });
    });
    this.#transfer = done.catch(() => undefined);
    await Promise.race([start, done]).catch((error: unknown) => {
      data.destroy();
      throw error instanceof FTPError && error.code === 550 ? missing(error) : error;
    });
    return { next: () => this.ask(() => this.#next(incoming, done)) };
  }

  /** The next bytes; at the end of them the server has to say that these were all. */
  async #next(incoming: Incoming, done: Promise<unknown>): Promise<Uint8Array | undefined> {
    const bytes = await incoming.next();
    if (bytes) return bytes;
    this.#client.ftp.socket.setTimeout(this.#server.patience);
    await done;
    return undefined;
  }

  /** Ends the transfer that is under way: without its data connection the server says that it has failed. */
  async #giveUp(): Promise<void> {
    const transfer = this.#transfer;
    this.#transfer = undefined;
    if (!transfer) return;
    const { ftp } = this.#client;
    ftp.dataSocket?.destroy();
    ftp.socket.setTimeout(this.#server.patience);
    await transfer;
  }

  close(): void {
    this.#client.close();
  }
}

function missing(cause: Error): BlockError {
  return new BlockError('not-found', 'The file does not exist', { cause });
}
