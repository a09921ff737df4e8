/**
 * An SFTP server in memory, in the place of the `ssh` program: it does what a script says, also what no sound server does.
 */
import type { ProgramEnd, ProgramPort, RunningProgram } from '../../src/block/programs.ts';
import { packed, type Part, Peer } from './nbdServer.ts';

/** A request as the server got it. */
export interface SftpRequest {
  readonly type: number;
  readonly id: number;
  /** Everything behind the number. */
  readonly content: Uint8Array;
}

/** A file of the server. */
export interface SftpFile {
  bytes: Uint8Array;
  mode: number;
}

/** What a server does otherwise than a sound one. */
export interface SftpScript {
  /** Names of extensions; default: those that the client uses. */
  readonly extensions?: readonly string[];
  /** What limits@openssh.com tells: a packet, and data each way. */
  readonly limits?: readonly [packet: number, read: number, write: number];
  /** The whole server, in the place of all that follows. */
  readonly all?: (peer: Peer) => void;
  /** Answers a request; true if it did. */
  readonly request?: (peer: Peer, request: SftpRequest, server: SftpServer) => boolean;
  /** Most bytes that are given at once; default: all. */
  readonly shortReads?: (wanted: number) => number;
  /** When an answer is sent; default: at once, so in the order of the requests. */
  readonly later?: (send: () => void) => void;
  /** What ssh says, and its exit code; default: nothing, and 255. */
  readonly end?: ProgramEnd;
  /** What `ssh -G` says. */
  readonly configuration?: string;
}

export const ALL_EXTENSIONS: readonly string[] = [
  'posix-rename@openssh.com',
  'fsync@openssh.com',
  'limits@openssh.com',
  'fstatvfs@openssh.com',
];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A string as SFTP has it. */
export function sftpString(text: string | Uint8Array): Uint8Array {
  const bytes = typeof text === 'string' ? encoder.encode(text) : text;
  return packed([4, bytes.length], bytes);
}

/** A packet. @param id undefined: none, as in the handshake. */
export function sftpPacket(type: number, id: number | undefined, ...parts: readonly Part[]): Uint8Array {
  const body = packed([1, type], ...(id === undefined ? [] : [[4, id] as const]), ...parts);
  return packed([4, body.length], body);
}

/** A status packet. */
export function statusPacket(id: number, code: number, text = ''): Uint8Array {
  return sftpPacket(101, id, [4, code], sftpString(text), sftpString(''));
}

/** Reads numbers and strings. */
class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  number(size: 4 | 8): number {
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#at);
    this.#at += size;
    return size === 4 ? view.getUint32(0) : Number(view.getBigUint64(0));
  }

  bytes(): Uint8Array {
    const length = this.number(4);
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  text(): string {
    return decoder.decode(this.bytes());
  }
}

/** Files, by their names, and everything that was asked. */
export class SftpServer implements ProgramPort {
  readonly files: Map<string, SftpFile> = new Map();
  readonly peers: Peer[] = [];
  readonly requests: SftpRequest[] = [];
  /** Arguments of each program that was started. */
  readonly started: (readonly string[])[] = [];
  readonly #script: SftpScript;
  readonly #handles = new Map<string, SftpFile>();
  #opened = 0;

  constructor(script: SftpScript = {}) {
    this.#script = script;
  }

  /** A file of that content. */
  put(name: string, bytes: Uint8Array, mode = 0o100644): SftpFile {
    const file = { bytes, mode };
    this.files.set(name, file);
    return file;
  }

  async start(_name: string, args: readonly string[]): Promise<RunningProgram> {
    this.started.push(args);
    const peer = new Peer();
    this.peers.push(peer);
    const { end = { code: 255, complaint: '' }, configuration } = this.#script;
    if (args.includes('-G')) {
      peer.send(encoder.encode(configuration ?? 'user somebody\nport 22\n'));
      peer.end();
    } else if (this.#script.all) this.#script.all(peer);
    else void this.#serve(peer);
    const linger = (milliseconds: number): Promise<void> =>
      new Promise((resolve) => void setTimeout(resolve, milliseconds).unref());
    return Object.assign(peer.connection, { ended: Promise.resolve(end), linger });
  }

  async #serve(peer: Peer): Promise<void> {
    const extensions = this.#script.extensions ?? ALL_EXTENSIONS;
    await peer.receive(9);
    peer.send(sftpPacket(2, undefined, [4, 3], ...extensions.flatMap((name) => [sftpString(name), sftpString('1')])));
    for (;;) {
      const head = await peer.receive(4);
      const body = head && (await peer.receive(new DataView(head.buffer).getUint32(0)));
      if (!body) return;
      const request = {
        type: body[0] ?? 0,
        id: new DataView(body.buffer, body.byteOffset).getUint32(1),
        content: body.slice(5),
      };
      this.requests.push(request);
      if (this.#script.request?.(peer, request, this) === true) continue;
      const answer = this.answer(request);
      const send = (): void => peer.send(answer);
      if (this.#script.later) this.#script.later(send);
      else send();
    }
  }

  /** What a sound server answers. */
  answer({ type, id, content }: SftpRequest): Uint8Array {
    const fields = new Fields(content);
    if (type === 3) return this.#open(id, fields);
    if (type === 200) return this.#extended(id, fields);
    const first = fields.text();
    if (type === 16) return sftpPacket(104, id, [4, 1], sftpString(first), sftpString(first), [4, 0]);
    const byName = [7, 9, 13, 17, 18].includes(type);
    const file = byName ? this.files.get(first) : this.#handles.get(first);
    if (!file) return statusPacket(id, byName ? 2 : 4, byName ? 'No such file' : 'Failure');
    switch (type) {
      case 4:
        this.#handles.delete(first);
        return statusPacket(id, 0);
      case 5:
        return this.#read(id, file, fields);
      case 6: {
        write(file, fields.number(8), fields.bytes());
        return statusPacket(id, 0);
      }
      case 7:
      case 8:
      case 17:
        return sftpPacket(105, id, [4, 5], [8, file.bytes.length], [4, file.mode]);
      case 9:
      case 10:
        set(file, fields);
        return statusPacket(id, 0);
      case 13:
        this.files.delete(first);
        return statusPacket(id, 0);
      case 18:
        return this.#rename(id, first, fields.text(), false);
      default:
        return statusPacket(id, 8, 'Operation unsupported');
    }
  }

  #open(id: number, fields: Fields): Uint8Array {
    const name = fields.text();
    const flags = fields.number(4);
    let file = this.files.get(name);
    if (file && (flags & 32) !== 0) return statusPacket(id, 4, 'Failure');
    if (!file && (flags & 8) === 0) return statusPacket(id, 2, 'No such file');
    file ??= this.put(name, new Uint8Array(), (fields.number(4) & 4) === 0 ? 0o100666 : 0o100000 | fields.number(4));
    if ((flags & 16) !== 0) file.bytes = new Uint8Array();
    const handle = `h${this.#opened++}`;
    this.#handles.set(handle, file);
    return sftpPacket(102, id, sftpString(handle));
  }

  #read(id: number, file: SftpFile, fields: Fields): Uint8Array {
    const offset = fields.number(8);
    const wanted = fields.number(4);
    if (offset >= file.bytes.length) return statusPacket(id, 1, 'End of file');
    const most = this.#script.shortReads?.(wanted) ?? wanted;
    return sftpPacket(103, id, sftpString(file.bytes.slice(offset, offset + most)));
  }

  #rename(id: number, from: string, to: string, replace: boolean): Uint8Array {
    const file = this.files.get(from);
    if (!file) return statusPacket(id, 2, 'No such file');
    if (this.files.has(to) && !replace) return statusPacket(id, 4, 'Failure');
    this.files.delete(from);
    this.files.set(to, file);
    return statusPacket(id, 0);
  }

  #extended(id: number, fields: Fields): Uint8Array {
    switch (fields.text()) {
      case 'posix-rename@openssh.com':
        return this.#rename(id, fields.text(), fields.text(), true);
      case 'limits@openssh.com':
        return sftpPacket(
          201,
          id,
          ...(this.#script.limits ?? [262144, 261120, 261120]).map((n) => [8, n] as const),
          [8, 0],
        );
      case 'fstatvfs@openssh.com':
        return sftpPacket(201, id, ...[4096, 4096, 100, 0, 0, 0, 0, 0, 0, 0, 255].map((n) => [8, n] as const));
      default:
        return statusPacket(id, 0);
    }
  }
}

function write(file: SftpFile, offset: number, data: Uint8Array): void {
  if (offset + data.length > file.bytes.length) file.bytes = grown(file.bytes, offset + data.length);
  file.bytes.set(data, offset);
}

function grown(bytes: Uint8Array, size: number): Uint8Array {
  const more = new Uint8Array(size);
  more.set(bytes.subarray(0, size));
  return more;
}

function set(file: SftpFile, fields: Fields): void {
  const flags = fields.number(4);
  if ((flags & 1) !== 0) file.bytes = grown(file.bytes, fields.number(8));
  if ((flags & 2) !== 0) fields.number(8);
  if ((flags & 4) !== 0) file.mode = (file.mode & 0o170000) | (fields.number(4) & 0o7777);
}
