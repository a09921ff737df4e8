/** What formats and operations need from their host besides files; passed in, never ambient. */
import type { BufferPool } from '../base/inflight.ts';
import type { CodecPort } from '../codec/codec.ts';
import type { CryptoPort } from '../crypto/crypto.ts';
import type { FilePort } from '../storage/files.ts';
import type { FtpPort } from './ftp.ts';
import type { HttpPort } from './http.ts';
import type { ResourceLimits } from './limits.ts';
import type { NetPort } from './net.ts';
import type { ObjectStore } from './objects.ts';
import type { PipePort } from './pipes.ts';
import type { ProgramPort } from './programs.ts';
import type { SpoolPort } from './spool.ts';

/** Passphrases and keys by id (`--object secret,id=...`). */
export interface SecretStore {
  /** The bytes of a secret; throws a `BlockError` with the real tool's wording if there is none of that id. */
  get(id: string): Uint8Array | Promise<Uint8Array>;
}

/** Seconds since 1970 by the host's clock, for differences; it may be set back. */
export function secondsOf(services: Pick<Services, 'now'>): number {
  const { seconds, nanoseconds } = services.now();
  return seconds + nanoseconds / 1e9;
}

/** The ports of a host. */
export interface Services {
  readonly files: FilePort;
  /** Where files can be that are gone when the work is done; a name of the protocol of files. Absent: in the working directory. */
  temporaryFolder?(): string;
  /** Absent: this host cannot connect to anybody. */
  readonly net?: NetPort;
  /** Absent: this host cannot start programs. */
  readonly programs?: ProgramPort;
  /** Absent: this host asks no servers of HTTP. */
  readonly http?: HttpPort;
  /** Absent: nor of FTP. */
  readonly ftp?: FtpPort;
  readonly codec: CodecPort;
  /** Where images called `-` come from and go to; absent: that is a file's name. */
  readonly pipes?: PipePort;
  /** Absent: there is no place for what does not fit into memory. */
  readonly spool?: SpoolPort;
  readonly crypto: CryptoPort;
  readonly secrets: SecretStore;
  /** What else options name by its id. */
  readonly objects: ObjectStore;
  /** What an image may cost. */
  readonly limits: ResourceLimits;
  /** Fills an array with random bytes fit for keys and identifiers. */
  random(into: Uint8Array): void;
  /** Seconds and nanoseconds since 1970, UTC. */
  now(): { readonly seconds: number; readonly nanoseconds: number };
  /** The host's time zone offset at that time in seconds east of UTC, for dates shown to people. */
  zoneOffset(seconds: number): number;
  /** Resolves after so many milliseconds, or as soon as the signal fires; 0 lets other events in and goes on. */
  wait(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** A memory buffer suited for large transfers (page-aligned under Node); give it back with `release`. */
  readonly buffers: BufferPool;
  /**
   * Gives back what is kept for later use: threads and buffers. Nothing may be under way. Whoever uses the services
   * afterwards has it made again.
   */
  close(): Promise<void>;
}
