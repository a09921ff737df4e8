/** SM3 (GB/T 32905-2016; draft-sca-cfrg-sm3), the one hash of LUKS that the library of the other hashes lacks. */
import { HashMD } from '@noble/hashes/_md.js';
import { type CHash, createHasher, rotl } from '@noble/hashes/utils.js';

/** Section 4.1. */
const START: readonly number[] = [
  0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e,
];
const ROUNDS = 64;
/** From this round on there are other functions and another constant. */
const LATE = 16;

/** The expanded message (section 5.3.2), with the four words more that the last rounds need. */
const message = new Int32Array(ROUNDS + 4);

function expand(view: DataView, offset: number): void {
  for (let j = 0; j < 16; j++) message[j] = view.getInt32(offset + j * 4);
  for (let j = 16; j < message.length; j++) {
    const x = message[j - 16]! ^ message[j - 9]! ^ rotl(message[j - 3]!, 15);
    message[j] = x ^ rotl(x, 15) ^ rotl(x, 23) ^ rotl(message[j - 13]!, 7) ^ message[j - 6]!;
  }
}

class Sm3 extends HashMD<Sm3> {
  readonly #state = Int32Array.from(START);

  constructor() {
    super(64, 32, 8, false);
  }

  protected get(): number[] {
    return [...this.#state];
  }

  protected set(...words: number[]): void {
    this.#state.set(words);
  }

  /** The compression function (section 5.3.3). */
  protected process(view: DataView, offset: number): void {
    expand(view, offset);
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = this.#state;
    for (let j = 0; j < ROUNDS; j++) {
      const constant = j < LATE ? 0x79cc4519 : 0x7a879d8a;
      const ss1 = rotl((rotl(a, 12) + e + rotl(constant, j % 32)) | 0, 7);
      const ff = j < LATE ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
      const gg = j < LATE ? e ^ f ^ g : (e & f) | (~e & g);
      const tt1 = (ff + d + (ss1 ^ rotl(a, 12)) + (message[j]! ^ message[j + 4]!)) | 0;
      const tt2 = (gg + h + ss1 + message[j]!) | 0;
      [d, c, b, a] = [c, rotl(b, 9), a, tt1];
      [h, g, f, e] = [g, rotl(f, 19), e, tt2 ^ rotl(tt2, 9) ^ rotl(tt2, 17)];
    }
    for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) this.#state[i]! ^= word;
  }

  protected roundClean(): void {
    message.fill(0);
  }

  override _cloneInto(to: Sm3 = new Sm3()): Sm3 {
    to.set(...this.#state);
    to.buffer.set(this.buffer);
    return Object.assign(to, {
      length: this.length,
      pos: this.pos,
      finished: this.finished,
      destroyed: this.destroyed,
    });
  }

  override destroy(): void {
    this.destroyed = true;
    this.set(0, 0, 0, 0, 0, 0, 0, 0);
    this.buffer.fill(0);
  }
}

/** SM3. */
export const sm3: CHash = createHasher(() => new Sm3());
