import { luksParameters, createLuks, type LuksCreation, type LuksVolume } from '../../../../src/crypto/luks/volume.ts';
import type { LuksIo } from '../../../../src/crypto/luks/keyslot.ts';
import { nodeCrypto } from '../../../../src/host/node/crypto.ts';
import type { CryptoPort } from '../../../../src/crypto/crypto.ts';

/** The real hashes and ciphers with a clock that is in a hurry: calibrating ends after one try. */
export function quickCrypto(): CryptoPort {
  let time = 0;
  return { ...nodeCrypto(), cpuTime: () => (time += 1000) };
}

/** A header in memory. */
export class MemoryIo implements LuksIo {
  bytes: Uint8Array = new Uint8Array(0);
  /** Offset and length of each write, in order. */
  readonly writes: [offset: number, length: number][] = [];

  read(offset: number, into: Uint8Array): void {
    into.fill(0);
    into.set(this.bytes.subarray(offset, offset + into.length));
  }

  write(offset: number, from: Uint8Array): void {
    if (this.bytes.length < offset + from.length) {
      const longer = new Uint8Array(offset + from.length);
      longer.set(this.bytes);
      this.bytes = longer;
    }
    this.bytes.set(from, offset);
    this.writes.push([offset, from.length]);
  }
}

/** UTF-8 bytes of a passphrase. */
export function passphrase(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A volume in memory, by default with AES-128-CBC, whose key material is the smallest; its passphrase is `open`. */
export async function makeVolume(
  options: Partial<LuksCreation> = {},
): Promise<{ port: CryptoPort; io: MemoryIo; volume: LuksVolume }> {
  const port = quickCrypto();
  const io = new MemoryIo();
  const small = luksParameters({ cipherAlg: 'aes-128', cipherMode: 'cbc' });
  const volume = await createLuks(port, io, { ...small, passphrase: passphrase('open'), iterTime: 0, ...options });
  return { port, io, volume };
}
