import { expect, it } from 'vitest';
import { parsePrototype } from '../../../../src/host/bun/prototype.ts';

it.each([
  ['int64 lseek(int fd, int64 offset, int whence)', 'lseek', ['i32', 'i64_fast', 'i32'], 'i64_fast'],
  ['int fcntl(int fd, int command, void *lock)', 'fcntl', ['i32', 'i32', 'ptr'], 'i32'],
  ['int ioctl(int fd, ulong request, void *argument)', 'ioctl', ['i32', 'u64_fast', 'ptr'], 'i32'],
  ['void *ZSTD_createCCtx()', 'ZSTD_createCCtx', [], 'ptr'],
  ['const char * zlibVersion(void)', 'zlibVersion', [], 'ptr'],
  [
    'size_t f(const void *from, size_t n, unsigned int x, double d)',
    'f',
    ['ptr', 'u64_fast', 'u32', 'f64'],
    'u64_fast',
  ],
  ['void _exit(int code)', '_exit', ['i32'], 'void'],
])('%s', (prototype, name, args, returns) => {
  expect(parsePrototype(prototype)).toEqual({ name, args, returns });
});

it.each(['', 'lseek', 'int lseek(int fd', 'int f(struct stat *s, long double x)', 'float f(int a)'])(
  "'%s' is refused",
  (prototype) => {
    expect(() => parsePrototype(prototype)).toThrow(TypeError);
  },
);
