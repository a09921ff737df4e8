/** The port through which servers of HTTP are asked: one request at a time, as it is. What answers mean is for protocols. */

/** Who one is. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/** What is asked of a server. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD';
  /** `http://` or `https://`, with no credentials in it and no fragment. */
  readonly url: string;
  /** Names in small letters. Nothing is asked for that changes the bytes of the answer (`Accept-Encoding`). */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether the server's certificate has to be trusted. Default: true. */
  readonly verify?: boolean;
  /** Who one is to a proxy, if there is one on the way. */
  readonly proxyLogin?: Login | undefined;
  /** The request fails when nothing comes for so many milliseconds while somebody waits for it; 0: it never does. */
  readonly patience: number;
}

/** What a server answers. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in small letters; what comes several times is joined with commas. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * The bytes, as they come. Read once, by one reader; whoever does not read it to the end calls {@link end}.
   * @throws BlockError as {@link HttpPort.request} does, when the connection ends early.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /**
   * The same bytes, into memory of the caller: fills `into` and gives its length, less only at the end. Absent where they come
   * in memory of their own. Whoever calls it does not read {@link body}, and the other way round.
   */
  readonly read?: (into: Uint8Array) => Promise<number>;
  /** Gives the answer up. After the end of the body it does nothing. */
  end(): void;
}

/** Asks servers. */
export interface HttpPort {
  /**
   * Resolves when the head of the answer is there, whatever its status. Redirects are answers, too; only a host that cannot
   * show them follows them.
   * @throws BlockError of kind `io` if there is no answer, in curl's words; its {@link BlockError.code} is that of the
   * operating system: `ECONNREFUSED`, `ECONNRESET` (the connection has ended), `ETIMEDOUT`. Kind `permission-denied`: the
   * server is not trusted.
   */
  request(request: HttpRequest): Promise<HttpAnswer>;
}
