/** The services of Node. What takes time to load is loaded when it is first used. */
import type { MaybePromise } from '../../base/async.ts';
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError } from '../../base/error.ts';
import type { BufferPool } from '../../base/inflight.ts';
import type { SecretStore, Services } from '../../block/services.ts';
import type { CodecPort } from '../../codec/codec.ts';
import { nodeCrypto } from './crypto.ts';
import { NodeFiles } from './file.ts';
import { AlignedBufferPool } from './fileBuffers.ts';
import type { WorkerPool } from './pool.ts';

/** Secrets in memory. */
export class MapSecretStore implements SecretStore {
  readonly #secrets = new Map<string, Uint8Array>();

  /** Adds a secret; text is taken as UTF-8. */
  set(id: string, secret: Uint8Array | string): void {
    this.#secrets.set(id, typeof secret === 'string' ? utf8Bytes(secret) : secret);
  }

  get(id: string): Uint8Array {
    const secret = this.#secrets.get(id);
    if (!secret) throw new BlockError('not-found', `No secret with id '${id}'`, { context: { access: 'secret' } });
    return secret;
  }
}

/** Parts that take the place of those of Node. */
export interface NodeServicesOptions {
  readonly files?: Services['files'];
  readonly codec?: CodecPort;
  readonly crypto?: Services['crypto'];
  /** Default: a store without secrets. */
  readonly secrets?: SecretStore;
  readonly buffers?: BufferPool;
}

let sharedPool: Promise<WorkerPool> | undefined;

/** The worker threads of this process, for all codecs and encryption; the module is loaded at the first call. */
function workers(): Promise<WorkerPool> {
  sharedPool ??= import('./pool.ts').then((module) => new module.WorkerPool());
  return sharedPool;
}

/** Loads the real codecs at the first call, and is only a function call away from them afterwards. */
function lazyCodec(): CodecPort {
  let loading: Promise<CodecPort> | undefined;
  let loaded: CodecPort | undefined;
  const codec = (): Promise<CodecPort> => {
    loading ??= Promise.all([import('./codecs.ts'), workers()]).then(([module, threads]) => {
      loaded = module.nodeCodecs(threads);
      return loaded;
    });
    return loading;
  };
  return {
    decompress(how, input, into): MaybePromise<number> {
      if (loaded) return loaded.decompress(how, input, into);
      return codec().then((port) => port.decompress(how, input, into));
    },
    decompressBatch: async (how, pieces) => (await codec()).decompressBatch(how, pieces),
    compressBatch: async (how, input, unit, limit) => (await codec()).compressBatch(how, input, unit, limit),
  };
}

/** The crypto port, with long runs of sectors on all threads. */
function threadedCrypto(): Services['crypto'] {
  return {
    ...nodeCrypto(),
    async cryptSectors(work) {
      const [module, threads] = await Promise.all([import('./cryptoPool.ts'), workers()]);
      await module.cryptSectors(threads, work);
    },
  };
}

/** The ports of this machine. */
export function nodeServices(options: NodeServicesOptions = {}): Services {
  const crypto = options.crypto ?? threadedCrypto();
  return {
    files: options.files ?? new NodeFiles(),
    codec: options.codec ?? lazyCodec(),
    crypto,
    secrets: options.secrets ?? new MapSecretStore(),
    random: (into) => crypto.fillRandom(into),
    now() {
      const milliseconds = Date.now();
      const seconds = Math.floor(milliseconds / 1000);
      return { seconds, nanoseconds: (milliseconds - seconds * 1000) * 1e6 };
    },
    zoneOffset: (seconds) => new Date(seconds * 1000).getTimezoneOffset() * -60 || 0,
    buffers: options.buffers ?? new AlignedBufferPool(),
  };
}
