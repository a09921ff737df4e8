/** The `vvfat` protocol: a directory of the host as a disk with a FAT file system, read only. */
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidArgument, unsupported } from '../../base/error.ts';
import type { ProtocolContext, ProtocolDriver, ProtocolStorage } from '../../block/protocol.ts';
import { printJsonName } from '../../options/jsonName.ts';
import type { OptionTable, OptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import { FatDisk } from './disk.ts';
import { type FatType, geometryOf } from './geometry.ts';
import { encodeHead } from './structures.ts';
import { readTree } from './tree.ts';

const openOptions = {
  'fat-type': { kind: 'number', help: 'Bits in an entry of the file allocation table: 12, 16 or 32' },
  dir: { kind: 'string', help: 'The directory' },
  floppy: { kind: 'bool', help: 'Make a floppy disk instead of a hard disk' },
  label: { kind: 'string', help: 'Name of the volume' },
  rw: { kind: 'bool', help: 'Write changes back to the directory; not supported' },
} as const satisfies OptionTable;

/** Values of {@link openOptions}. */
type OpenOptions = OptionValues<typeof openOptions>;

const DEFAULT_LABEL = 'QEMU VVFAT';

/** Options of `fat:[floppy:][12:|16:|32:][rw:]DIRECTORY`. Words in front of the directory may come in any order. */
function parseFilename(name: string): OptionTree {
  const rest = name.slice(name.indexOf(':'));
  const fatType = [32, 16, 12].find((bits) => rest.includes(`:${bits}:`)) ?? 0;
  return {
    'fat-type': fatType,
    dir: directoryOf(rest),
    floppy: rest.includes(':floppy:'),
    rw: rest.includes(':rw:'),
  };
}

/** What follows the last colon; a single letter in front of it is a drive and belongs to the directory. */
function directoryOf(rest: string): string {
  return /:([A-Za-z]:[^:]*)$/.exec(rest)?.[1] ?? rest.slice(rest.lastIndexOf(':') + 1);
}

interface Settings {
  readonly dir: string;
  readonly fatType: FatType | undefined;
  readonly floppy: boolean;
  /** Padded to 11 characters. */
  readonly label: string;
}

function settingsOf(options: OpenOptions, writable: boolean): Settings {
  const { dir, label = DEFAULT_LABEL } = options;
  if (dir === undefined) throw invalidArgument("vvfat block driver requires a 'dir' option");
  const bits = options['fat-type'] ?? 0;
  if (bits !== 0 && bits !== 12 && bits !== 16 && bits !== 32) {
    throw invalidArgument('Valid FAT types are only 12, 16 and 32');
  }
  if (utf8Bytes(label).length > 11) {
    throw invalidArgument('vvfat label cannot be longer than 11 bytes');
  }
  if (options.rw === true && !writable) throw invalidArgument("Unable to set VVFAT to 'rw' when drive is read-only");
  if (options.rw === true) {
    throw unsupported('Writing into a directory through a FAT disk is not supported');
  }
  if (writable) throw new BlockError('permission-denied', 'Image is read-only');
  // Names of volumes have one byte for each character.
  const plain = label.replace(/[^\x20-\x7e]/g, '_').padEnd(11);
  return { dir, fatType: bits === 0 ? undefined : bits, floppy: options.floppy === true, label: plain };
}

async function open(context: ProtocolContext, options: OpenOptions): Promise<ProtocolStorage> {
  const { services } = context;
  const settings = settingsOf(options, context.writable);
  const geometry = geometryOf(settings);
  if (geometry.fatType === 32) context.warn?.('FAT32 has not been tested. You are welcome to do so!');
  const { label } = settings;
  const runs = await readTree(
    {
      files: services.files,
      geometry,
      label,
      zone: (seconds) => services.zoneOffset(seconds),
      notice: (text) => context.notice?.(text),
    },
    settings.dir,
  );
  const disk = new FatDisk(geometry, encodeHead(geometry, label, runs), runs, services.files);
  const storage = new CheckedStorage(disk, {
    name: printJsonName({ ...context.given, driver: 'vvfat' }),
    readOnly: true,
  });
  return Object.assign(storage, { protocol: 'vvfat', quirks: { inSectors: true, staysReadOnly: true } });
}

/** Directories as FAT disks. */
export const vvfatDriver: ProtocolDriver = { name: 'vvfat', prefixes: ['fat'], openOptions, parseFilename, open };
