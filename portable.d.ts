/**
 * What the portable part of the sources (`tsconfig.portable.json`) may take for granted besides ECMAScript: it is in every
 * browser and worker, and in Node, Deno and Bun. Only what is used is here, so that the use of anything else is an error.
 * Timers are not: who wants to wait asks the host (`Services.wait`).
 */

/** https://encoding.spec.whatwg.org/#textencoder */
declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
}

/** https://encoding.spec.whatwg.org/#textdecoder */
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: Uint8Array): string;
}

/** https://dom.spec.whatwg.org/#interface-AbortSignal */
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** https://dom.spec.whatwg.org/#interface-abortcontroller */
declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

/** https://streams.spec.whatwg.org/#rs-class: for the decoder of xz, and streams that callers bring. */
declare class ReadableStream<T> {
  constructor(
    source: {
      start?(controller: { enqueue(chunk: T): void; close(): void }): void;
      pull?(controller: { enqueue(chunk: T): void; close(): void }): void | Promise<void>;
    },
    strategy?: { readonly highWaterMark: number },
  );
  getReader(): ReadableStreamDefaultReader<T>;
}

interface ReadableStreamDefaultReader<T> {
  read(): Promise<{ readonly done: false; readonly value: T } | { readonly done: true; readonly value?: T }>;
  cancel(): Promise<void>;
}

/** https://fetch.spec.whatwg.org/#fetch-method: for files on servers only. */
declare function fetch(
  url: string,
  options: {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): Promise<FetchResponse>;

interface FetchResponse {
  readonly status: number;
  readonly headers: { forEach(each: (value: string, name: string) => void): void };
  readonly body: { getReader(): ReadableStreamDefaultReader<Uint8Array> } | null;
}
