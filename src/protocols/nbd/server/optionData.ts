/** The data of options, as clients write them: lengths in front of texts, numbers in front of lists. */
import { textOf } from '../../../base/text.ts';
import { MAX_NAME } from '../numbers.ts';

/** Reads the data of an option from the beginning to the end; what is not there or too long is undefined. */
export class OptionData {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Nothing is left. */
  get isEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  #number(size: 2 | 4): number | undefined {
    if (this.#at + size > this.#bytes.length) return undefined;
    const value = size === 2 ? this.#view.getUint16(this.#at) : this.#view.getUint32(this.#at);
    this.#at += size;
    return value;
  }

  /** A text with its length in front. */
  text(): string | undefined {
    const length = this.#number(4);
    if (length === undefined || length > MAX_NAME || this.#at + length > this.#bytes.length) return undefined;
    this.#at += length;
    return textOf(this.#bytes.subarray(this.#at - length, this.#at));
  }

  /** Numbers of two bytes, and in front of them how many. */
  shorts(): readonly number[] | undefined {
    return this.#list(2, () => this.#number(2));
  }

  /** Texts, and in front of them how many. */
  texts(): readonly string[] | undefined {
    return this.#list(4, () => this.text());
  }

  #list<T>(size: 2 | 4, next: () => T | undefined): readonly T[] | undefined {
    const count = this.#number(size);
    if (count === undefined || count > this.#bytes.length) return undefined;
    const list: T[] = [];
    for (let index = 0; index < count; index++) {
      const one = next();
      if (one === undefined) return undefined;
      list.push(one);
    }
    return list;
  }
}
