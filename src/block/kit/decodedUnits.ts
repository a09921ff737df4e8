/** Reads guest bytes that are stored in units which have to be decoded as a whole (compressed blocks of read-only formats). */
import { BlockError } from '../../base/error.ts';

/** One unit of guest bytes. */
export interface Unit {
  /** Number of the unit, unique in the image. */
  readonly key: number;
  /** First guest byte. */
  readonly start: number;
  /** Guest bytes. */
  readonly length: number;
}

/**
 * Decodes units in batches, so that all cores can take part, and keeps those of which only a part was asked for: the
 * next request is likely to ask for the rest. May be used by several requests at the same time.
 */
export class DecodedUnits<U extends Unit> {
  readonly #decode: (units: readonly U[]) => Promise<readonly Uint8Array[]>;
  readonly #budget: number;
  /** In order of use, the least recently used first. */
  readonly #kept = new Map<number, Uint8Array>();
  readonly #underWay = new Map<number, Promise<Uint8Array>>();
  #keptBytes = 0;

  /**
   * @param budget bytes to keep; the last unit is kept even if it is larger.
   * @param decode gives the bytes of each unit, exactly `length` each.
   */
  constructor(budget: number, decode: (units: readonly U[]) => Promise<readonly Uint8Array[]>) {
    this.#budget = budget;
    this.#decode = decode;
  }

  /** Fills `into` with the guest bytes from `offset` on; `units` cover it. */
  async read(offset: number, into: Uint8Array, units: readonly U[]): Promise<void> {
    const end = offset + into.length;
    const missing: U[] = [];
    const found: (Uint8Array | Promise<Uint8Array> | undefined)[] = units.map((unit) => {
      const known = this.#look(unit.key) ?? this.#underWay.get(unit.key);
      if (known === undefined) missing.push(unit);
      return known;
    });
    const decoded = this.#decodeAll(missing);
    for (const unit of missing) {
      if (unit.start < offset || unit.start + unit.length > end) this.#announce(unit, decoded);
    }
    const ready = await decoded;
    for (const [index, unit] of units.entries()) {
      const bytes = (await found[index]) ?? ready.get(unit.key);
      if (!bytes) throw new BlockError('internal', `unit ${unit.key} was not decoded`);
      const from = Math.max(offset, unit.start);
      const to = Math.min(end, unit.start + unit.length);
      into.set(bytes.subarray(from - unit.start, to - unit.start), from - offset);
    }
  }

  async #decodeAll(units: readonly U[]): Promise<Map<number, Uint8Array>> {
    const results = units.length > 0 ? await this.#decode(units) : [];
    const byKey = new Map<number, Uint8Array>();
    for (const [index, unit] of units.entries()) {
      const bytes = results[index];
      if (bytes) byKey.set(unit.key, bytes);
    }
    return byKey;
  }

  /** Lets other requests wait for a unit that is being decoded, and keeps it afterwards. */
  #announce(unit: U, decoded: Promise<Map<number, Uint8Array>>): void {
    const promise = decoded.then((byKey) => {
      const bytes = byKey.get(unit.key);
      if (!bytes) throw new BlockError('internal', `unit ${unit.key} was not decoded`);
      this.#keep(unit.key, bytes);
      return bytes;
    });
    this.#underWay.set(unit.key, promise);
    const done = (): void => {
      this.#underWay.delete(unit.key);
    };
    // A failure belongs to the requests that wait for the unit.
    promise.then(done, done);
  }

  #look(key: number): Uint8Array | undefined {
    const bytes = this.#kept.get(key);
    if (bytes) {
      this.#kept.delete(key);
      this.#kept.set(key, bytes);
    }
    return bytes;
  }

  #keep(key: number, bytes: Uint8Array): void {
    if (this.#kept.has(key)) return;
    this.#kept.set(key, bytes);
    this.#keptBytes += bytes.length;
    for (const [oldest, old] of this.#kept) {
      if (this.#keptBytes <= this.#budget || oldest === key) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= old.length;
    }
  }
}
