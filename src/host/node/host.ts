/** The services of Node. What takes time to load is loaded when it is first used. */
import type { MaybePromise } from '../../base/async.ts';
import { unsupported } from '../../base/error.ts';
import type { BufferPool } from '../../base/inflight.ts';
import type { FtpPort } from '../../block/ftp.ts';
import type { HttpAnswer, HttpPort, HttpRequest } from '../../block/http.ts';
import { DEFAULT_LIMITS, type ResourceLimits } from '../../block/limits.ts';
import type { NetPort } from '../../block/net.ts';
import type { ObjectStore } from '../../block/objects.ts';
import type { ProgramPort } from '../../block/programs.ts';
import type { SecretStore, Services } from '../../block/services.ts';
import type { PipePort } from '../../block/pipes.ts';
import type { SpoolPort } from '../../block/spool.ts';
import type { CodecPort } from '../../codec/codec.ts';
import { MapSecretStore } from '../shared/secrets.ts';
import { now, wait, zoneOffset } from '../shared/time.ts';
import { nodeCrypto } from './crypto.ts';
import { NodeFiles } from './file.ts';
import { AlignedBufferPool } from './fileBuffers.ts';
import { temporaryFolder } from './fileNames.ts';
import type { NodeHttp } from './http.ts';
import { soon } from './limits.ts';
import type { WorkerPool } from './pool.ts';

/** Parts that take the place of those of Node. */
export interface NodeServicesOptions {
  readonly files?: Services['files'];
  readonly net?: NetPort;
  readonly programs?: ProgramPort;
  readonly http?: HttpPort;
  readonly ftp?: FtpPort;
  readonly codec?: CodecPort;
  /** Streams for images called `-`. Default: that is a file's name. */
  readonly pipes?: PipePort;
  readonly crypto?: Services['crypto'];
  /** Default: a store without secrets. */
  readonly secrets?: SecretStore;
  /** Default: none. */
  readonly objects?: ObjectStore;
  readonly buffers?: BufferPool;
  /** Those that differ from the usual ones. */
  readonly limits?: Partial<ResourceLimits>;
}

let sharedPool: Promise<WorkerPool> | undefined;
/** How many services have asked for the threads and were not closed since. */
let users = 0;

/** The worker threads of this process, which all services share; the module is loaded at the first call. */
class Workers {
  #used = false;

  get(): Promise<WorkerPool> {
    if (!this.#used) users++;
    this.#used = true;
    sharedPool ??= import('./pool.ts').then((module) => new module.WorkerPool());
    return sharedPool;
  }

  /** Ends the threads if nobody else is there who may need them; otherwise they end when there is nothing to do. */
  async close(): Promise<void> {
    if (!this.#used) return;
    this.#used = false;
    users--;
    if (users === 0) await (await sharedPool)?.rest();
  }
}

/** Loads the real codecs at the first call, and is only a function call away from them afterwards. */
function lazyCodec(workers: Workers): CodecPort {
  let loading: Promise<CodecPort> | undefined;
  let loaded: CodecPort | undefined;
  const codec = (): Promise<CodecPort> => {
    loading ??= Promise.all([import('./codecs.ts'), workers.get()]).then(([module, threads]) => {
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
    compressBatch: async (...batch) => (await codec()).compressBatch(...batch),
    async expand(method, input) {
      const port = await codec();
      if (!port.expand) throw unsupported('Compressed files cannot be read here');
      return port.expand(method, input);
    },
  };
}

/** Makes spools in the directory for temporary files, once one is needed. */
function lazySpool(limit: number): SpoolPort {
  let loading: Promise<SpoolPort> | undefined;
  return {
    async create() {
      loading ??= import('./spool.ts').then((module) => module.nodeSpools(limit));
      return (await loading).create();
    },
  };
}

/** Loads what connects at the first call. */
const lazyNet: NetPort = {
  connect: async (address) => (await import('./net.ts')).connect(address),
  listen: async (address) => (await import('./listen.ts')).listen(address),
};

/** Loads what starts programs at the first call. */
const lazyPrograms: ProgramPort = {
  start: async (name, args) => (await import('./programs.ts')).startProgram(name, args),
};

const lazyFtp: FtpPort = { connect: async (server) => (await import('./ftp.ts')).connect(server) };

/** What asks servers of HTTP, with the connections that it keeps; the module is loaded at the first request. */
class LazyHttp implements HttpPort {
  #loaded: NodeHttp | undefined;

  async request(request: HttpRequest): Promise<HttpAnswer> {
    const module = await import('./http.ts');
    this.#loaded ??= new module.NodeHttp();
    return this.#loaded.request(request);
  }

  /** Hangs up on all servers. */
  close(): void {
    this.#loaded?.close();
  }
}

/** The crypto port, with long runs of sectors on all threads. */
function threadedCrypto(workers: Workers): Services['crypto'] {
  return {
    ...nodeCrypto(),
    async cryptSectors(work) {
      const [module, threads] = await Promise.all([import('./cryptoPool.ts'), workers.get()]);
      await module.cryptSectors(threads, work);
    },
  };
}

/** The ports of this machine. */
export function nodeServices(options: NodeServicesOptions = {}): Services {
  const workers = new Workers();
  const crypto = options.crypto ?? threadedCrypto(workers);
  const buffers = new AlignedBufferPool();
  const http = new LazyHttp();
  return {
    files: options.files ?? new NodeFiles(),
    temporaryFolder,
    net: options.net ?? lazyNet,
    programs: options.programs ?? lazyPrograms,
    http: options.http ?? http,
    ftp: options.ftp ?? lazyFtp,
    codec: options.codec ?? lazyCodec(workers),
    spool: lazySpool(options.limits?.spoolBytes ?? DEFAULT_LIMITS.spoolBytes),
    ...(options.pipes ? { pipes: options.pipes } : {}),
    crypto,
    secrets: options.secrets ?? new MapSecretStore(),
    objects: options.objects ?? new Map(),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    random: (into) => crypto.fillRandom(into),
    now,
    zoneOffset,
    // A timer takes a millisecond at least.
    wait: (milliseconds, signal) => (milliseconds === 0 ? soon(() => undefined) : wait(milliseconds, signal)),
    buffers: options.buffers ?? buffers,
    async close() {
      buffers.clear();
      http.close();
      await workers.close();
    },
  };
}
