/** What the C library and others are asked for, and what makes the calls. */

/** What calls functions of libraries: koffi's native module, as far as it is used, or what another runtime has. */
export interface NativeModule {
  /** A library by its file name, or what the program is linked with (`null`). @throws Error if there is none. */
  load(library: string | null): NativeLibrary;
  /** The error number that the last call on this thread has left. */
  errno(): number;
  /** Where the bytes of an array lie in memory; those of transfer buffers never move. */
  address(bytes: Uint8Array): number | bigint;
}

/** A loaded library. */
export interface NativeLibrary {
  /** @param prototype declaration in C. @throws Error if the library has no such function. */
  func(prototype: string): NativeFunction;
}

declare const opaque: unique symbol;
/** A pointer that a function returned. */
export type NativePointer = { readonly [opaque]: true };

/** What functions of libraries take. */
export type NativeArgument = number | bigint | Uint8Array | BigInt64Array | BigUint64Array | NativePointer | null;

/** A function of a library. Arrays are passed as pointers to their first byte. */
export interface NativeFunction {
  (...parameters: NativeArgument[]): number | bigint;
  /** The call on another thread, where there are such calls, or else a little later on this one. */
  async(...parameters: [...NativeArgument[], (error: unknown, result: number | bigint) => void]): void;
}

/** Calls of the C library. Every call returns its result, or the negative error number as the kernel does. */
export interface Libc {
  /** lseek(2) with `SEEK_DATA` (3) or `SEEK_HOLE` (4) and the like. */
  seek(fd: number, offset: number, whence: number): number;
  /** fallocate(2); several threads may be at it at once. */
  fallocate(fd: number, mode: number, offset: number, length: number): Promise<number>;
  /** fallocate(2) on the calling thread, for short ranges. */
  fallocateSync(fd: number, mode: number, offset: number, length: number): number;
  /** copy_file_range(2) with explicit offsets. */
  copyFileRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): Promise<number>;
  /** sync_file_range(2): starts writing a range to the medium (length 0: to the end), and waits for nothing. */
  writeBack(fd: number, offset: number, length: number): Promise<number>;
  /** fcntl(2) with a `struct flock`; `lock` is changed by the `GETLK` commands. */
  lock(fd: number, command: number, lock: Uint8Array): number;
  /** ioctl(2) with a pointer. */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  /** ioctl(2) with a pointer, on another thread. */
  ioctlAsync(fd: number, request: number, argument: Uint8Array): Promise<number>;
  /**
   * preadv2(2) with `RWF_NOWAIT`: what is in the page cache, `-EAGAIN` if nothing is.
   * @param into more than 64 bytes: what is shorter may move.
   * @throws Error if the C library has no such call.
   */
  readCached(fd: number, into: Uint8Array, offset: number): number;
  /** pwrite(2), for offsets beyond what Node passes on. */
  write(fd: number, from: Uint8Array, offset: number): number;
  /** setsockopt(2) of `SOL_SOCKET` with a whole number. */
  socketOption(fd: number, option: number, value: number): number;
  /** ftruncate(2), for sizes beyond what Node passes on. */
  truncate(fd: number, size: number): number;
  /** signal(2) with `SIG_IGN`. */
  ignore(signal: number): number;
  /** sigaction(2), which says whether a signal is ignored. */
  isIgnored(signal: number): boolean;
  /** linkat(2) of what the first name leads to. */
  link(from: string, to: string): number;
  /** getrlimit(2): the soft limit; infinite where there is none. */
  limit(resource: number): number;
  /** mallopt(3); ignored by C libraries without it. */
  tune(parameter: number, value: number): void;
  /** From now on the calls that others make on another thread are made on the calling one. */
  useOneThread(): void;
}
