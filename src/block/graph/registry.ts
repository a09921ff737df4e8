/** The known drivers, loaded when they are first used. */
import { type BlockError, unsupported } from '../../base/error.ts';
import type { FormatDriver } from '../format.ts';
import type { ProtocolDriver } from '../protocol.ts';
import type { FilterDriver } from '../filter.ts';
import type { FormatInspector } from '../inspection.ts';
import type { ImageServer } from '../serving.ts';

/** A format before it is loaded. */
export interface FormatEntry {
  readonly name: string;
  /** As in {@link FormatDriver.probe}, but cheap to load. */
  readonly probe?: (head: Uint8Array, filename: string) => number;
  /** True for the last 512 bytes of an image whose format shows there. */
  readonly isTail?: (tail: Uint8Array) => boolean;
  load(): Promise<FormatDriver>;
  /** What the format knows about images that nobody vouches for. Absent: what opening and checking them tells is all. */
  inspector?(): Promise<FormatInspector>;
}

/** A protocol before it is loaded. */
export interface ProtocolEntry {
  readonly name: string;
  readonly prefixes: readonly string[];
  load(): Promise<ProtocolDriver>;
  /** The other side of it: absent where images can only be opened by it. */
  readonly server?: () => Promise<ImageServer>;
}

/** A filter before it is loaded. */
export interface FilterEntry {
  readonly name: string;
  /** The file has an image in it (it is compressed, it is an archive), and the filter reads that. */
  readonly contains?: (head: Uint8Array) => boolean;
  load(): Promise<FilterDriver>;
}

/** Bytes of a file that probing looks at. */
export const PROBE_SIZE = 2048;

/** Drivers by name, in probing order. */
export class DriverRegistry {
  readonly formats: readonly FormatEntry[];
  readonly protocols: readonly ProtocolEntry[];
  readonly filters: readonly FilterEntry[];
  readonly #absent: ReadonlyMap<string, string>;

  /** @param absent what to say below the error for drivers that others have and this build has not, by name. */
  constructor(
    formats: readonly FormatEntry[],
    protocols: readonly ProtocolEntry[],
    filters: readonly FilterEntry[] = [],
    absent: ReadonlyMap<string, string> = new Map(),
  ) {
    this.formats = formats;
    this.protocols = protocols;
    this.filters = filters;
    this.#absent = absent;
  }

  /** True if `name` is a format, a protocol or a filter. */
  has(name: string): boolean {
    return this.isFormat(name) || this.isProtocol(name) || this.isFilter(name);
  }

  /** Compressed files and archives can be opened as what is in them. */
  get hasContainers(): boolean {
    return this.filters.some(({ contains }) => contains !== undefined);
  }

  /** Name of the filter that reads what is in a file with that beginning; undefined if it is no container. */
  container(head: Uint8Array): string | undefined {
    return this.filters.find((entry) => entry.contains?.(head))?.name;
  }

  /** The names of all drivers, sorted. */
  names(): readonly string[] {
    return [...this.formats, ...this.protocols, ...this.filters].map(({ name }) => name).sort();
  }

  /** The same without what the real tool has not: containers and pipes. */
  compatible(): DriverRegistry {
    const protocols = this.protocols.filter(({ prefixes }) => prefixes.length > 0);
    const filters = this.filters.filter(({ contains }) => contains === undefined);
    return new DriverRegistry(this.formats, protocols, filters, this.#absent);
  }

  /** The same with one more protocol. */
  withProtocol(entry: ProtocolEntry): DriverRegistry {
    return new DriverRegistry(this.formats, [...this.protocols, entry], this.filters, this.#absent);
  }

  isFormat(name: string): boolean {
    return this.formats.some((entry) => entry.name === name);
  }

  isProtocol(name: string): boolean {
    return this.protocols.some((entry) => entry.name === name);
  }

  isFilter(name: string): boolean {
    return this.filters.some((entry) => entry.name === name);
  }

  /** The error for what is no driver, with the real tool's wording. */
  unknown(what: 'driver' | 'protocol', name: string): BlockError {
    const hint = this.#absent.get(name.replace(/\+.*/, ''));
    return unsupported(`Unknown ${what} '${name}'`, hint === undefined ? {} : { hint });
  }

  /** The filter of that name. */
  async filter(name: string): Promise<FilterDriver> {
    const entry = this.filters.find((candidate) => candidate.name === name);
    if (!entry) throw this.unknown('driver', name);
    return entry.load();
  }

  /** The format of that name; throws `unsupported` with the real tool's wording. */
  async format(name: string): Promise<FormatDriver> {
    const entry = this.formats.find((candidate) => candidate.name === name);
    if (!entry) throw this.unknown('driver', name);
    return entry.load();
  }

  /** What the format of that name knows about images of others. */
  async inspector(name: string): Promise<FormatInspector | undefined> {
    return this.formats.find((candidate) => candidate.name === name)?.inspector?.();
  }

  /** The protocol of that name. */
  async protocol(name: string): Promise<ProtocolDriver> {
    const entry = this.protocols.find((candidate) => candidate.name === name);
    if (!entry) throw this.unknown('driver', name);
    return entry.load();
  }

  /** The protocol that a file name's prefix belongs to. */
  async protocolOfPrefix(prefix: string): Promise<ProtocolDriver> {
    const entry = this.protocols.find((candidate) => candidate.prefixes.includes(prefix));
    if (!entry) throw this.unknown('protocol', prefix);
    return entry.load();
  }

  /** The server of the first protocol that has one. */
  async server(): Promise<ImageServer> {
    const entry = this.protocols.find(({ server }) => server !== undefined);
    if (!entry?.server) throw unsupported('No protocol of this build has a server');
    return entry.server();
  }

  /** Name of the format that is surest about the first bytes of an image; undefined if none is. */
  probe(head: Uint8Array, filename: string): string | undefined {
    let best: string | undefined;
    let score = 0;
    for (const entry of this.formats) {
      const own = entry.probe?.(head, filename) ?? 0;
      if (own > score) {
        score = own;
        best = entry.name;
      }
    }
    return best;
  }
}
