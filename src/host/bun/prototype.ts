/** Declarations of C functions, in the words that koffi knows, as `bun:ffi` wants them. */

/** Types of `bun:ffi`. The fast ones give a number where that is exact, else a bigint, and take both. */
type BunType = 'i32' | 'u32' | 'i64_fast' | 'u64_fast' | 'f64' | 'ptr' | 'void';

/** A function: its name, and the types of what it takes and gives. */
export interface Signature {
  readonly name: string;
  readonly args: readonly BunType[];
  readonly returns: BunType;
}

/** Of 64-bit systems where `long` has 64 bits: all but Windows, whose libraries do without it. */
const TYPES: Readonly<Record<string, BunType>> = {
  void: 'void',
  int: 'i32',
  uint: 'u32',
  'unsigned int': 'u32',
  long: 'i64_fast',
  ulong: 'u64_fast',
  'unsigned long': 'u64_fast',
  int64: 'i64_fast',
  uint64: 'u64_fast',
  ssize_t: 'i64_fast',
  size_t: 'u64_fast',
  double: 'f64',
};

function typeOf(words: string): BunType {
  const plain = words.replace(/\bconst\b/g, ' ').trim();
  if (plain.endsWith('*')) return 'ptr';
  const type = TYPES[plain.replace(/\s+/g, ' ')];
  if (!type) throw new TypeError(`a C type that is not known here: ${plain}`);
  return type;
}

/** Splits `int64 lseek(int fd, int64 offset, int whence)`; names of parameters are needed, and of no use. */
export function parsePrototype(prototype: string): Signature {
  const [, returned = '', name = '', parameters = ''] = /^\s*(.*?[\s*])(\w+)\s*\(([^()]*)\)\s*$/.exec(prototype) ?? [];
  if (name === '') throw new TypeError(`not the declaration of a C function: ${prototype}`);
  const list = parameters.trim();
  const words = list === '' || list === 'void' ? [] : list.split(',');
  return { name, args: words.map((word) => typeOf(word.replace(/\w+\s*$/, ''))), returns: typeOf(returned) };
}
