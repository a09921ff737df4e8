/**
 * The arguments of the program as bytes. Node decodes them before any script runs and makes U+FFFD of what is no UTF-8,
 * so that several names become one: where that happened, the bytes are read again from where the kernel has them.
 */
import { readFileSync } from 'node:fs';
import { unsupported } from '../../base/error.ts';
import { textOf } from '../../base/text.ts';
import { nativeLibrary } from './ffi.ts';
import { otherRuntime } from './runtime.ts';

const REPLACEMENT = '\ufffd';

/** Where the bytes of this process's arguments may be found: each gives those of the command line's last `count`. */
export type ArgumentSource = (count: number) => readonly Uint8Array[] | undefined;

/**
 * The arguments in the representation of `textOf`.
 * @param given as Node decoded them; the last ones of the process.
 * @throws BlockError if an argument has bytes that are lost: it would name another file.
 */
export function exactArguments(
  given: readonly string[],
  sources: readonly ArgumentSource[] = [kernelArguments, memoryArguments],
): readonly string[] {
  // Windows has no bytes in its command lines.
  if (process.platform === 'win32' || !given.some((text) => text.includes(REPLACEMENT))) return given;
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for (const source of sources) {
    const found = source(given.length);
    if (found && given.every((text, index) => decoder.decode(found[index]) === text)) return found.map(textOf);
  }
  const lost = given.find((text) => text.includes(REPLACEMENT));
  throw unsupported(`Cannot tell the bytes of the argument '${lost}', which are not UTF-8`);
}

/** From `/proc`, where it is mounted. */
function kernelArguments(count: number): readonly Uint8Array[] | undefined {
  try {
    const all = readFileSync('/proc/self/cmdline');
    const found: Uint8Array[] = [];
    for (let at = 0, end = 0; at < all.length; at = end + 1) {
      end = all.indexOf(0, at);
      if (end < 0) end = all.length;
      found.push(all.subarray(at, end));
    }
    return found.slice(found.length - count);
  } catch {
    return undefined;
  }
}

/** From memory: the C library knows where the first argument is, and the kernel puts the others behind it. */
function memoryArguments(count: number): readonly Uint8Array[] | undefined {
  const library = nativeLibrary(null);
  if (!library) return undefined;
  try {
    const find = library.func('uint64 dlsym(uint64 handle, const void *name)');
    const copy = library.func('uint64 memcpy(void *to, uint64 from, uint64 count)');
    const length = library.func('uint64 strlen(uint64 text)');
    const place = find(0, Buffer.from('program_invocation_name\0'));
    if (Number(place) === 0) return undefined;
    const pointer = new BigInt64Array(1);
    copy(pointer, place, 8);
    let at = pointer[0] ?? 0n;
    // In front: Node's own name, its flags, and the script.
    const leading = otherRuntime()?.leadingArguments ?? process.execArgv.length + 2;
    const found: Uint8Array[] = [];
    for (let index = 0; index < leading + count; index++) {
      const bytes = new Uint8Array(Number(length(at)));
      copy(bytes, at, bytes.length);
      found.push(bytes);
      at += BigInt(bytes.length + 1);
    }
    return found.slice(found.length - count);
  } catch {
    return undefined;
  }
}
