/** Damage that knows where structures are: fields of headers and tables, runs of entries, ends of files. */

/** A steady source of numbers; equal seeds give equal damage. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 up to, not including, `limit`. */
  next(limit: number): number {
    // xorshift with a multiplication: good enough to choose damage.
    let x = (this.#state += 0x6d2b79f5) | 0;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 4294967296) * limit);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.next(list.length)] as T;
  }
}

const BLOCK = 512;
/** Values at which counts, offsets and sizes go wrong. */
const VALUES: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  8n,
  9n,
  16n,
  21n,
  31n,
  32n,
  63n,
  64n,
  511n,
  512n,
  513n,
  4095n,
  4096n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x10000n,
  0x100000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  (1n << 53n) - 1n,
  1n << 53n,
  1n << 56n,
  (1n << 62n) - 512n,
  1n << 62n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 512n,
  (1n << 64n) - 1n,
];

/** Starts of the blocks that are not all zero: where the structures are, and some data. */
function blocksInUse(bytes: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK) {
    if (bytes.subarray(at, at + BLOCK).some((byte) => byte !== 0)) found.push(at);
  }
  return found;
}

/** Damages copies of one image. */
export class Mutator {
  readonly #good: Uint8Array;
  /** Blocks in use with little in them, as headers and tables have, and the first and the last ones. */
  readonly #hot: readonly number[];

  constructor(good: Uint8Array) {
    this.#good = good;
    const used = blocksInUse(good);
    const zeroes = (at: number): number => good.subarray(at, at + BLOCK).filter((byte) => byte === 0).length;
    const sparse = used.filter((at) => zeroes(at) > BLOCK / 4);
    this.#hot = [...used.slice(0, 4), ...sparse.slice(0, 64), ...used.slice(-3)];
  }

  /** A damaged copy: one to four changes, sometimes a cut or some bytes more. */
  damaged(dice: Dice): Uint8Array {
    let bytes = this.#good.slice();
    for (let count = 1 + dice.next(dice.pick([1, 1, 2, 4])); count > 0; count--) this.#change(bytes, dice);
    if (dice.next(12) === 0) bytes = bytes.slice(0, dice.next(bytes.length));
    else if (dice.next(20) === 0) bytes = new Uint8Array([...bytes, ...new Uint8Array(dice.next(2000))]);
    return bytes;
  }

  #place(dice: Dice): number {
    if (dice.next(8) === 0) return dice.next(this.#good.length);
    const block = dice.next(3) === 0 ? (this.#hot[0] ?? 0) : dice.pick(this.#hot);
    return block + dice.next(BLOCK);
  }

  #change(bytes: Uint8Array, dice: Dice): void {
    const width = dice.pick([1, 2, 4, 8]);
    const loose = this.#place(dice);
    const at = Math.min(dice.next(4) === 0 ? loose : loose - (loose % width), bytes.length - 8);
    if (at < 0) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    switch (dice.next(7)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.next(8));
        return;
      case 1:
        bytes[at] = dice.next(256);
        return;
      case 2:
        return this.#digit(bytes, at, dice);
      case 3:
        bytes.set(this.#good.slice(this.#place(dice)).subarray(0, Math.min(BLOCK, bytes.length - at)), at);
        return;
      case 4:
        return store(view, at, width, this.#nearby(view, at, width, dice), dice.next(2) === 0);
      default:
        return store(view, at, width, dice.pick(VALUES), dice.next(2) === 0);
    }
  }

  /** What is there, a little changed: off by one, doubled, the size of the file. */
  #nearby(view: DataView, at: number, width: number, dice: Dice): bigint {
    const old = view.getBigUint64(at) >> BigInt(64 - width * 8);
    const size = BigInt(view.byteLength);
    return dice.pick([old + 1n, old - 1n, old * 2n, old / 2n, old << 8n, size, size - 1n, size / 512n, -old]);
  }

  /** In text, another digit; elsewhere a run of equal bytes. */
  #digit(bytes: Uint8Array, at: number, dice: Dice): void {
    for (let i = at; i < Math.min(at + 64, bytes.length); i++) {
      const byte = bytes[i] ?? 0;
      if (byte < 0x30 || byte > 0x39) continue;
      bytes[i] = dice.pick([0x30, 0x39, 0x2d, 0x20, 0x22, 0x0a, 0xff]);
      return;
    }
    bytes.fill(dice.pick([0, 0xff, 0x20]), at, at + dice.pick([4, 8, 64]));
  }
}

function store(view: DataView, at: number, width: number, value: bigint, littleEndian: boolean): void {
  const wrapped = BigInt.asUintN(width * 8, value);
  if (width === 1) view.setUint8(at, Number(wrapped));
  else if (width === 2) view.setUint16(at, Number(wrapped), littleEndian);
  else if (width === 4) view.setUint32(at, Number(wrapped), littleEndian);
  else view.setBigUint64(at, wrapped, littleEndian);
}
