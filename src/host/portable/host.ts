/**
 * The services of any platform: files in memory, codecs and ciphers in JavaScript and WebAssembly, no threads. They use
 * what every platform has besides the language itself: timers, `TextEncoder`, `TextDecoder`, `crypto` for random bytes,
 * `fetch` for servers of HTTP, and for `xz` and `zstd` what those libraries load their modules with.
 */
import type { BufferPool } from '../../base/inflight.ts';
import { MiB } from '../../base/offset.ts';
import type { FtpPort } from '../../block/ftp.ts';
import type { HttpPort } from '../../block/http.ts';
import { DEFAULT_LIMITS, type ResourceLimits } from '../../block/limits.ts';
import type { NetPort } from '../../block/net.ts';
import type { ObjectStore } from '../../block/objects.ts';
import type { ProgramPort } from '../../block/programs.ts';
import type { SecretStore, Services } from '../../block/services.ts';
import { MemoryFiles } from '../../storage/memoryFiles.ts';
import { MapSecretStore } from '../shared/secrets.ts';
import { now, wait, zoneOffset } from '../shared/time.ts';
import { portableCodecs } from './codecs.ts';
import { portableCrypto } from './crypto.ts';
import { fetchHttp, hasFetch } from './http.ts';

/** Parts that take the place of the portable ones. */
export interface PortableServicesOptions {
  /** Default: files in memory, none at the beginning. */
  readonly files?: Services['files'];
  /** Default: there is nobody to connect to. */
  readonly net?: NetPort;
  /** Default: there are none. */
  readonly programs?: ProgramPort;
  /** Default: the platform's `fetch`, where there is one. */
  readonly http?: HttpPort;
  /** Default: there is nobody to ask. */
  readonly ftp?: FtpPort;
  /** Default: a store without secrets. */
  readonly secrets?: SecretStore;
  /** Default: none. */
  readonly objects?: ObjectStore;
  /** Those that differ from the usual ones. */
  readonly limits?: Partial<ResourceLimits>;
}

class PlainBuffers implements BufferPool {
  readonly size: number = MiB;
  #free: Uint8Array[] = [];

  acquire(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.size);
  }

  release(buffer: Uint8Array): void {
    this.#free.push(buffer);
  }

  clear(): void {
    this.#free = [];
  }
}

/** Services that need no platform. */
export function portableServices(options: PortableServicesOptions = {}): Services {
  const crypto = portableCrypto();
  const buffers = new PlainBuffers();
  const http = options.http ?? (hasFetch() ? fetchHttp : undefined);
  return {
    files: options.files ?? new MemoryFiles(),
    ...(options.net ? { net: options.net } : {}),
    ...(options.programs ? { programs: options.programs } : {}),
    ...(http ? { http } : {}),
    ...(options.ftp ? { ftp: options.ftp } : {}),
    codec: portableCodecs(),
    crypto,
    secrets: options.secrets ?? new MapSecretStore(),
    objects: options.objects ?? new Map(),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    random: (into) => crypto.fillRandom(into),
    now,
    zoneOffset,
    wait,
    buffers,
    async close() {
      buffers.clear();
    },
  };
}
