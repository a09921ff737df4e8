/** Files on servers of HTTP (RFC 9110): requests for ranges, redirects, and the notice of files that change meanwhile. */
import { BlockError, unsupported } from '../../base/error.ts';
import { KiB } from '../../base/offset.ts';
import { bytesOf } from '../../base/text.ts';
import type { HttpAnswer, HttpPort, Login } from '../../block/http.ts';
import type { Services } from '../../block/services.ts';
import { type Head, hasEnded, Passing, persist, type Remote } from './remote.ts';
import { type Address, originOf, printUrl, redirected } from './url.ts';

/** In every browser and worker, and in Node, Deno and Bun. */
declare const btoa: (bytes: string) => string;

/** Who asks, and how. */
export interface HttpSettings {
  readonly address: Address;
  readonly login: Login | undefined;
  readonly proxyLogin: Login | undefined;
  readonly cookie: string | undefined;
  readonly verify: boolean;
  /** Seconds. */
  readonly timeout: number;
}

/** As in the real tool's libcurl. */
const MAX_REDIRECTS = 30;

/** Bytes that are asked for when a file is opened: headers, and most tables of images that were made in one go. */
const HEAD = 512 * KiB;

/** An answer to a request for a range has to have so many bytes of it, else it counts as one that has ended early. */
const LEAST = 64 * KiB;

/** What of an answer is taken at a time: if it ends early, what was taken before is not asked for again. */
const PART = 512 * KiB;

const NO_RANGES = "Server does not support 'range' (byte ranges).";
const NO_SIZE = "Server didn't report file size.";
const DOWNLOAD = 'Download the file first, and use that';

/** What tells one state of a file from another; what a server does not say is undefined. */
interface Version {
  readonly size: number;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
}

/** The parts of `Content-Range: bytes FIRST-LAST/TOTAL`; numbers that are not there are undefined. */
interface ContentRange {
  readonly first: number | undefined;
  readonly last: number | undefined;
  readonly total: number | undefined;
}

/** A file. */
export class HttpFile implements Remote {
  readonly head: Head | undefined;
  readonly #link: Link;
  readonly #version: Version;
  /** What the head comes with. */
  readonly #answer: HttpAnswer | undefined;

  /** @param answer has so many of the first bytes. */
  private constructor(link: Link, version: Version, answer?: HttpAnswer, length = 0) {
    this.#link = link;
    this.#version = version;
    this.#answer = answer;
    this.head = answer && headOf(answer, length);
  }

  get size(): number {
    return this.#version.size;
  }

  /** @throws BlockError with what curl says when a file cannot be opened. */
  static async open(services: Services, settings: HttpSettings): Promise<HttpFile> {
    const { http } = services;
    if (!http) throw unsupported('There is no network here');
    const link = new Link(services, http, settings);
    return persist(services, settings.timeout, async () => {
      const answer = await link.ask('GET', { range: `bytes=0-${HEAD - 1}` });
      try {
        return await HttpFile.#of(link, answer);
      } catch (error) {
        answer.end();
        throw hasEnded(error) ? new Passing(error) : error;
      }
    });
  }

  /** What the first answer says of the file. */
  static async #of(link: Link, answer: HttpAnswer): Promise<HttpFile> {
    const { status, headers } = answer;
    const { first, total } = contentRange(headers['content-range']);
    const version = { etag: headers['etag'], modified: headers['last-modified'] };
    if (status === 206) {
      const size = total ?? (await sizeByHead(link));
      if (first === 0) return new HttpFile(link, { ...version, size }, answer, Math.min(HEAD, size));
      answer.end();
      return new HttpFile(link, { ...version, size });
    }
    const size = status === 416 ? total : lengthOf(headers);
    if ((status === 200 || status === 416) && size === 0) {
      answer.end();
      return new HttpFile(link, { ...version, size });
    }
    if (status !== 200) throw refused(status);
    if (!/\bbytes\b/i.test(headers['accept-ranges'] ?? '')) throw withoutRanges();
    if (size === undefined) throw new BlockError('io', NO_SIZE);
    // All of a short file is as good as what was asked for.
    if (size > HEAD) throw withoutRanges();
    return new HttpFile(link, { ...version, size }, answer, size);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    let done = 0;
    const taken = (count: number): void => {
      done += count;
    };
    await persist(this.#link.services, this.#link.settings.timeout, async () => {
      while (done < into.length) await this.#fetch(offset + done, into.subarray(done), taken);
    });
  }

  /** Has one request bring as much of `into` as the server gives at once; `taken` hears what has come. */
  async #fetch(offset: number, into: Uint8Array, taken: (count: number) => void): Promise<void> {
    const answer = await this.#link.ask('GET', { range: `bytes=${offset}-${offset + into.length - 1}` });
    let missing = into.length;
    try {
      this.#check(answer, offset, into.length);
      for await (const count of filling(answer, into)) {
        missing -= count;
        taken(count);
      }
      if (missing === 0) return;
    } catch (error) {
      throw hasEnded(error) ? new Passing(endedEarly(missing)) : error;
    } finally {
      answer.end();
    }
    // Servers may give less than was asked for, but they shall not do it for ever.
    if (into.length - missing < LEAST) throw new Passing(endedEarly(missing));
  }

  /** @throws BlockError if the answer does not have what was asked for, or is about another state of the file. */
  #check({ status, headers }: HttpAnswer, offset: number, length: number): void {
    const range = contentRange(headers['content-range']);
    const known = this.#version;
    const changed =
      (range.total !== undefined && range.total !== known.size) ||
      differ(headers['etag'], known.etag) ||
      differ(headers['last-modified'], known.modified);
    if ((status === 206 || status === 200 || status === 416) && changed) {
      throw new BlockError('io', 'The file on the server has changed since it was opened');
    }
    // A whole file begins with what was asked for.
    if (status === 200 && offset === 0 && lengthOf(headers) === known.size) return;
    if (status === 200) throw withoutRanges();
    if (status !== 206) throw refused(status);
    const { first = -1, last = -1 } = range;
    if (first !== offset || last < first || last >= offset + length) {
      throw new BlockError('io', `The server was asked for bytes from ${offset} on, and answers with others`);
    }
  }

  close(): void {
    // Connections belong to the host, which keeps them for others.
    this.#answer?.end();
  }
}

function differ(now: string | undefined, before: string | undefined): boolean {
  return now !== undefined && before !== undefined && now !== before;
}

function withoutRanges(): BlockError {
  return new BlockError('io', NO_RANGES, { hint: DOWNLOAD });
}

function refused(status: number): BlockError {
  return new BlockError('io', `The requested URL returned error: ${status}`);
}

function endedEarly(missing: number): BlockError {
  return new BlockError('io', `end of response with ${missing} bytes missing`);
}

/** The length of an answer, if it says one that can be. */
function lengthOf(headers: HttpAnswer['headers']): number | undefined {
  const text = headers['content-length'];
  return text !== undefined && /^\d{1,19}$/.test(text) ? Number(text) : undefined;
}

function numberOf(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}

function contentRange(text: string | undefined): ContentRange {
  const [, first, last, total] =
    /^bytes (?:(\d{1,19})-(\d{1,19})|\*)\/(?:(\d{1,19})|\*)$/i.exec(text?.trim() ?? '') ?? [];
  return { first: numberOf(first), last: numberOf(last), total: numberOf(total) };
}

/** Fills `into` with the bytes of an answer as they come, and says how many have come each time. */
async function* filling(answer: HttpAnswer, into: Uint8Array): AsyncGenerator<number> {
  let filled = 0;
  if (answer.read) {
    for (let count = -1; count !== 0 && filled < into.length; filled += count) {
      count = await answer.read(into.subarray(filled, filled + PART));
      yield count;
    }
    return;
  }
  for await (const chunk of answer.body) {
    const bytes = chunk.subarray(0, into.length - filled);
    into.set(bytes, filled);
    filled += bytes.length;
    yield bytes.length;
    if (filled === into.length) return;
  }
}

/** The first bytes of an answer, up to `length` of them, as they come. */
function headOf(answer: HttpAnswer, length: number): Head {
  const bytes = new Uint8Array(length);
  const waiting: { readonly count: number; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] =
    [];
  let filled = 0;
  let failure: unknown;
  const tell = (): void => {
    for (const { count, resolve, reject } of waiting.splice(0)) {
      if (count <= filled) resolve();
      else if (failure !== undefined) reject(failure);
      else waiting.push({ count, resolve, reject });
    }
  };
  const fill = async (): Promise<void> => {
    try {
      for await (const count of filling(answer, bytes)) {
        filled += count;
        tell();
      }
      failure = endedEarly(length - filled);
    } catch (error) {
      failure = error;
    }
    answer.end();
    tell();
  };
  fill().catch(() => undefined);
  return {
    bytes,
    arrived: (count) =>
      new Promise((resolve, reject) => {
        waiting.push({ count, resolve, reject });
        tell();
      }),
  };
}

/** The size of a file whose server gives ranges, but does not say of how much. */
async function sizeByHead(link: Link): Promise<number> {
  const answer = await link.ask('HEAD', {});
  answer.end();
  const size = answer.status === 200 ? lengthOf(answer.headers) : undefined;
  if (size === undefined) throw new BlockError('io', NO_SIZE);
  return size;
}

/** The way to a file: where redirects have led, and what is told to whom. */
class Link {
  readonly services: Services;
  readonly settings: HttpSettings;
  readonly #http: HttpPort;
  /** Where the file was last. */
  #place: Address;

  constructor(services: Services, http: HttpPort, settings: HttpSettings) {
    this.services = services;
    this.#http = http;
    this.settings = settings;
    this.#place = settings.address;
  }

  /**
   * The answer to a request, behind all redirects.
   * @throws Passing for servers that are busy, and connections that have ended.
   */
  async ask(method: 'GET' | 'HEAD', headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const before = this.#place;
    const answer = await this.#follow(method, headers);
    // Addresses that were made for one visitor end some day: the first one makes another.
    if (before === this.settings.address || !/^(?:401|403|404|410)$/.test(String(answer.status))) return answer;
    answer.end();
    this.#place = this.settings.address;
    return this.#follow(method, headers);
  }

  async #follow(method: 'GET' | 'HEAD', headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    let place = this.#place;
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#send(method, place, headers);
      const { location } = answer.headers;
      if (location === undefined || !/^30[12378]$/.test(String(answer.status))) {
        this.#place = place;
        return answer;
      }
      answer.end();
      if (redirects === MAX_REDIRECTS) throw new BlockError('io', `Maximum (${MAX_REDIRECTS}) redirects followed`);
      place = redirected(place, location);
    }
  }

  async #send(method: 'GET' | 'HEAD', place: Address, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const { proxyLogin, verify, timeout } = this.settings;
    let answer: HttpAnswer;
    try {
      answer = await this.#http.request({
        method,
        url: printUrl(place),
        headers: { ...headers, ...this.#secretsFor(place) },
        verify,
        proxyLogin,
        patience: timeout * 1000,
      });
    } catch (error) {
      throw hasEnded(error) ? new Passing(error) : error;
    }
    if (!/^(?:429|500|502|503|504)$/.test(String(answer.status))) return answer;
    answer.end();
    const after = Number(answer.headers['retry-after']);
    throw new Passing(refused(answer.status), Number.isFinite(after) ? after : undefined);
  }

  /** What only the server that the user has named gets to know, unless a redirect says who one is elsewhere. */
  #secretsFor(place: Address): Record<string, string> {
    const { address, login, cookie } = this.settings;
    const own = originOf(place) === originOf(address);
    const who = own ? (login ?? place.login ?? address.login) : place.login;
    const coded = who && btoa(String.fromCharCode(...bytesOf(`${who.username}:${who.password}`)));
    return {
      ...(coded === undefined ? {} : { authorization: `Basic ${coded}` }),
      ...(own && cookie !== undefined ? { cookie } : {}),
    };
  }
}
