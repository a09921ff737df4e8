/** Files on servers of HTTP (RFC 9110): requests for ranges, redirects, and the notice of files that change meanwhile. */
import { BlockError, unsupported } from '../../base/error.ts';
import { KiB } from '../../base/offset.ts';
import { bytesOf } from '../../base/text.ts';
import type { HttpAnswer, HttpPort, Login } from '../../block/http.ts';
import type { Services } from '../../block/services.ts';
import { hasEnded, Passing, persist, type Remote } from './remote.ts';
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

/** Bytes that are asked for when a file is opened: most headers are in them, and much of the metadata of small images. */
const HEAD = 64 * KiB;

/** An answer to a request for a range has to have so many bytes of it, else it counts as one that has ended early. */
const LEAST = 64 * KiB;

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
  readonly head: Uint8Array;
  readonly #link: Link;
  readonly #version: Version;

  private constructor(link: Link, version: Version, head: Uint8Array) {
    this.#link = link;
    this.#version = version;
    this.head = head;
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
        throw hasEnded(error) ? new Passing(error) : error;
      } finally {
        answer.end();
      }
    });
  }

  /** What the first answer says of the file. */
  static async #of(link: Link, answer: HttpAnswer): Promise<HttpFile> {
    const { status, headers } = answer;
    const { first, total } = contentRange(headers['content-range']);
    const version = { etag: headers['etag'], modified: headers['last-modified'] };
    const none = new Uint8Array();
    if (status === 416 && total === 0) return new HttpFile(link, { ...version, size: 0 }, none);
    if (status === 200) {
      const size = lengthOf(headers);
      const hasRanges = /\bbytes\b/i.test(headers['accept-ranges'] ?? '');
      if (size === 0) return new HttpFile(link, { ...version, size }, none);
      if (!hasRanges) throw withoutRanges();
      if (size === undefined) throw new BlockError('io', NO_SIZE);
      // All of a short file is as good as what was asked for.
      if (size > HEAD) throw withoutRanges();
      return new HttpFile(link, { ...version, size }, await prefix(answer, size));
    }
    if (status !== 206) throw refused(status);
    const size = total ?? (await sizeByHead(link));
    const head = first === 0 ? await prefix(answer, Math.min(HEAD, size)) : none;
    return new HttpFile(link, { ...version, size }, head);
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
      for await (const chunk of answer.body) {
        const bytes = chunk.length > missing ? chunk.subarray(0, missing) : chunk;
        into.set(bytes, into.length - missing);
        missing -= bytes.length;
        taken(bytes.length);
        if (missing === 0) return;
      }
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

/** The first bytes of an answer, up to `length` of them. */
async function prefix(answer: HttpAnswer, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  if (length === 0) return bytes;
  for await (const chunk of answer.body) {
    const part = chunk.subarray(0, length - filled);
    bytes.set(part, filled);
    filled += part.length;
    if (filled === length) break;
  }
  return bytes.subarray(0, filled);
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
    const who = own ? (login ?? place.login) : place.login;
    const coded = who && btoa(String.fromCharCode(...bytesOf(`${who.username}:${who.password}`)));
    return {
      ...(coded === undefined ? {} : { authorization: `Basic ${coded}` }),
      ...(own && cookie !== undefined ? { cookie } : {}),
    };
  }
}
