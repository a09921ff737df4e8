/** What calls functions of C libraries: koffi's native module, as far as it is used, or what another runtime has. */
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
