/** What a protocol implements: where bytes come from. */
import type { BlockError } from '../base/error.ts';
import type { FormatInfo, Quirks } from './capabilities.ts';
import type { Hint } from '../base/hint.ts';
import type { MaybePromise } from '../base/async.ts';
import type { OptionTable, OptionValues } from '../options/table.ts';
import type { OptionTree } from '../options/tree.ts';
import type { CacheMode, FileAccess, FileDraft, FileStatus } from '../storage/files.ts';
import type { Storage } from '../storage/storage.ts';
import type { Services } from './services.ts';

/** What a protocol opens: a storage that may have locks and an identity. */
export interface ProtocolStorage extends Storage {
  /** Changes the permissions that are locked; throws kind `locked`. Absent: the protocol has no locks. */
  setAccess?(access: FileAccess): MaybePromise<void>;
  /** Equal for two openings of one object; absent where that cannot be known. */
  readonly identity?: string;
  /** Name of the protocol for `info`, for instance `host_device`; absent: `file`. */
  readonly protocol?: string;
  /** Its size cannot be changed: the error for somebody who wants another one. */
  readonly fixed?: () => BlockError;
  /** It can only be read, whoever asks: what to say to somebody who has it open, and wants to write after all. */
  readonly frozen?: string | undefined;
  /** Relative names inside an image in it count from nowhere: what messages call its nodes. */
  readonly placeless?: string;
  /** What `info` shows besides what every storage has. */
  readonly described?: FormatInfo;
  readonly quirks?: Quirks;
}

/**
 * What a protocol can do about names without opening what they refer to. Names are whole ones, with their prefix. Objects are
 * files in this: they have the size that they are given, and what was not written reads as zeroes.
 */
export interface ProtocolNames {
  /**
   * What a name refers to, with the identity that it has when it is opened; undefined: the name is free.
   * @throws BlockError if that cannot be told, or if the name is taken but leads nowhere.
   */
  status(services: Services, name: string): Promise<FileStatus | undefined>;
  remove(services: Services, name: string): Promise<void>;
  /** Makes durable that there is an object of that name. Absent: it is, as soon as the object is there. */
  settle?(services: Services, name: string): Promise<void>;
  /**
   * A new empty object that is to become `name`; it is opened by a name of the same protocol.
   * @param replace an object of kind `file` has the name already.
   */
  draft(services: Services, name: string, replace: boolean): Promise<FileDraft>;
}

/** A protocol: where bytes come from (`file`, later `nbd`, `https`). Tables as in {@link FormatDriver}. */
export interface ProtocolDriver<O extends OptionTable = OptionTable, C extends OptionTable = OptionTable> {
  /** Name for `driver=`, for instance `file`. */
  readonly name: string;
  /** Prefixes of file names that belong to it, without the colon. */
  readonly prefixes: readonly string[];
  readonly openOptions: O;
  readonly createOptions?: C;
  /** Options for a name with one of the prefixes (or without any, for `file`). */
  parseFilename(name: string): OptionTree;
  /** Options that a name says, and that cannot stand beside one. */
  readonly named?: RegExp;
  /**
   * The whole name of what an image at `base`, a name of this protocol, calls `name`, which is relative; undefined if that
   * means nothing. Absent: as with directories, `name` takes the place of what stands behind the last `/`.
   */
  resolve?(base: string, name: string): string | undefined;
  /** Absent: names can only be opened. Nothing is removed then, and new images are written in place. */
  readonly names?: ProtocolNames;
  /** Opens; `access` are the permissions to lock, where the protocol has locks. */
  open(context: ProtocolContext, options: OptionValues<O>): Promise<ProtocolStorage>;
  /** Creates an object of `size` bytes, or empties the one that has the name. */
  create?(context: ProtocolContext, name: string, options: OptionValues<C>): Promise<void>;
}

/** What a protocol driver gets. */
export interface ProtocolContext {
  readonly services: Services;
  readonly writable: boolean;
  /** Nobody writes, but it is an error if nobody could. */
  readonly insists?: boolean;
  /** Undefined: take no locks. */
  readonly access: FileAccess | undefined;
  readonly cache: CacheMode | undefined;
  readonly discard: 'ignore' | 'unmap' | undefined;
  /** The driver's own options as they were given, for the name of the storage. */
  readonly given?: OptionTree;
  /** A warning for the user, and what can be done about it. */
  warn?(text: string, hint?: Hint): void;
  /** A line on a failure that its error says less of; the name of the program stands in front of it. */
  complain?(text: string): void;
  /** A line for the user that stands by itself, as it is. */
  notice?(text: string): void;
}
