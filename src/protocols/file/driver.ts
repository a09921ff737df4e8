/** Files and devices of the host. All system calls are in the host's `FilePort`. */
import type { FormatInfo } from '../../block/capabilities.ts';
import type { MaybePromise } from '../../base/async.ts';
import { BlockError, unsupported, withPrefix } from '../../base/error.ts';
import { alignUp, SECTOR } from '../../base/offset.ts';
import type { ProtocolContext, ProtocolDriver, ProtocolStorage } from '../../block/protocol.ts';
import type { AnyOptionValues, OptionTable } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { FileAccess, FileHandle, FileStatus } from '../../storage/files.ts';
import { fileNames } from './names.ts';
import { checkOpenOptions, checkPreallocation, createOptions, deviceCreateOptions, openOptions } from './options.ts';

/** An open file as a storage, with its locks. */
export class FileStorage extends CheckedStorage implements ProtocolStorage {
  readonly identity: string;
  /** Driver that the real tool would name: `host_device` for devices, whatever name opened them. */
  readonly protocol: string;
  readonly fixed?: () => BlockError;
  /** What is known of a device is what is known of a file. */
  readonly described: FormatInfo = { dirty: false, specific: { type: 'file', data: {} } };
  readonly #handle: FileHandle;
  readonly #locking: boolean;

  constructor(handle: FileHandle, name: string, settings: { readonly writable: boolean; readonly locking: boolean }) {
    super(handle, { name, readOnly: !settings.writable });
    this.identity = handle.identity;
    this.protocol = isDevice(handle.kind) ? 'host_device' : 'file';
    if (isDevice(handle.kind)) this.fixed = () => unsupported('Cannot resize device files');
    this.#handle = handle;
    this.#locking = settings.locking;
  }

  setAccess(access: FileAccess): MaybePromise<void> {
    if (this.#locking) return this.#handle.setAccess(access);
  }
}

function isDevice(kind: FileStatus['kind']): boolean {
  return kind === 'block-device' || kind === 'character-device';
}

/** What keeps a driver from using an object of that kind; undefined if nothing does. */
function objection(driver: string, kind: FileStatus['kind'], filename: string): string | undefined {
  if (driver !== 'file') {
    if (isDevice(kind)) return undefined;
    return `'${driver}' driver requires '${filename}' to be either a character or block device`;
  }
  // A plain name of a device gets here as well, and is fine: the real tool looks first and takes `host_device`.
  if (kind === 'file' || isDevice(kind)) return undefined;
  return `'file' driver requires '${filename}' to be a regular file`;
}

async function openFile(driver: string, context: ProtocolContext, options: AnyOptionValues): Promise<FileStorage> {
  const { filename, locking } = checkOpenOptions(driver, options, context.cache);
  const handle = await context.services.files.open(filename, {
    writable: context.writable,
    ...(context.access && locking ? { access: context.access } : {}),
    ...(context.cache === undefined ? {} : { cache: context.cache }),
    ...(context.discard === undefined ? {} : { discard: context.discard }),
  });
  const problem = objection(driver, handle.kind, filename);
  if (problem === undefined) return new FileStorage(handle, filename, { writable: context.writable, locking });
  await handle.close();
  throw new BlockError(handle.kind === 'directory' ? 'is-directory' : 'invalid-argument', problem, {
    context: { filename, access: 'open' },
    posix: { code: 'EINVAL', text: 'Invalid argument' },
  });
}

async function createFile(context: ProtocolContext, filename: string, options: AnyOptionValues): Promise<void> {
  const hint = options['extent_size_hint'];
  await context.services.files.create(filename, {
    size: newSize(options),
    preallocation: checkPreallocation(options['preallocation']),
    nocow: options['nocow'] === true,
    ...(typeof hint === 'number' ? { extentSizeHint: hint } : {}),
  });
}

function newSize(options: AnyOptionValues): number {
  return alignUp(Number(options['size'] ?? 0), SECTOR);
}

/** A device is never created: it has to be there and to be large enough. */
async function adoptDevice(
  driver: string,
  context: ProtocolContext,
  filename: string,
  options: AnyOptionValues,
): Promise<void> {
  const device = await withPrefix(
    `Protocol driver '${driver}' does not support creating new images, so an existing image must be selected as the ` +
      'target; however, opening the given target as an existing image failed: ',
    () => openFile(driver, context, { filename }),
  );
  try {
    const preallocation = checkPreallocation(options['preallocation']);
    if (preallocation !== 'off') {
      throw unsupported(`Unsupported preallocation mode '${preallocation}'`);
    }
    if (newSize(options) > device.size()) throw unsupported('Cannot grow device files');
  } finally {
    await device.close();
  }
}

/** The file name in a name with or without one of the driver's prefixes. */
function stripPrefix(prefixes: readonly string[], name: string): string {
  const prefix = prefixes.find((candidate) => name.startsWith(`${candidate}:`));
  if (prefix === undefined) return name;
  const rest = name.slice(prefix.length + 1);
  // What is left is a file name even if it looks like a protocol.
  return /^[^/]*:/.test(rest) ? `./${rest}` : rest;
}

function fileProtocol(name: string, creates: OptionTable): ProtocolDriver {
  const prefixes = [name];
  return {
    name,
    prefixes,
    openOptions,
    createOptions: creates,
    parseFilename: (filename): OptionTree => ({ filename: stripPrefix(prefixes, filename) }),
    // Devices are neither made nor removed.
    ...(name === 'file' ? { names: fileNames((filename) => stripPrefix(prefixes, filename)) } : {}),
    open: (context, options) => openFile(name, context, options),
    create: (context, filename, options) => {
      const path = stripPrefix(prefixes, filename);
      return name === 'file' ? createFile(context, path, options) : adoptDevice(name, context, path, options);
    },
  };
}

/** Regular files; devices too when they come by a plain name. */
export const fileDriver: ProtocolDriver = fileProtocol('file', createOptions);

/** Block and character devices only. */
export const hostDeviceDriver: ProtocolDriver = fileProtocol('host_device', deviceCreateOptions);

/** CD-ROM drives; treated as any device. */
export const hostCdromDriver: ProtocolDriver = fileProtocol('host_cdrom', deviceCreateOptions);
