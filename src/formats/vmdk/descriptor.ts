/**
 * The descriptor: the text that holds a VMDK image together ("Virtual Disk Format 5.0", The Descriptor File). It is
 * read as the real tool reads it, which looks for the first occurrence of a key and not for lines.
 */
import { utf8Bytes } from '../../base/bytes.ts';
import { BlockError, invalidImage } from '../../base/error.ts';
import { parseInteger } from '../../base/size.ts';
import { byteText, byteTextBytes, textOf } from '../../base/text.ts';

/** Content id that stands for "none". */
export const NO_CID = 0xffffffff;
/** Most bytes of a descriptor that are looked at. */
export const MAX_DESCRIPTOR = 1048576;
/** Longest parent name in bytes. */
const MAX_PARENT = 4095;
/** Longest `createType` in bytes. */
const MAX_TYPE = 127;

/** What a guest may do with an extent ("Virtual Disk Format 5.0", Extent Descriptions). */
const ACCESS = ['RW', 'RDONLY', 'NOACCESS'] as const;
/** Kinds of extents that are read. */
const TYPES = ['FLAT', 'SPARSE', 'ZERO', 'VMFS', 'VMFSSPARSE', 'VMFSRDM', 'VMFSRAW', 'SESPARSE'] as const;

/** One line that describes an extent. */
export interface ExtentLine {
  readonly access: (typeof ACCESS)[number];
  readonly sectors: number;
  /** May be missing where there is no access. */
  readonly type: (typeof TYPES)[number] | undefined;
  /** Name as stored; empty if no file is needed. */
  readonly filename: string;
  /** First sector in the file; 0 where the line has no number. */
  readonly offset: number;
}

/** A descriptor's text, one character for each byte. */
export type DescriptorText = string;

/** The text up to the first NUL. */
export function descriptorText(bytes: Uint8Array): DescriptorText {
  const end = bytes.indexOf(0);
  return byteText(end < 0 ? bytes : bytes.subarray(0, end));
}

/** A name out of a descriptor; whatever `encoding` says, its bytes are those of the file's name. */
function nameIn(text: DescriptorText): string {
  return textOf(byteTextBytes(text));
}

function broken(): BlockError {
  return invalidImage('Invalid argument');
}

/** The 32-bit number in hexadecimal behind the first `key` and one more character (`=`); blanks may be in front of it. */
function hexBehind(text: DescriptorText, key: string): number | undefined {
  const at = text.indexOf(key);
  if (at < 0) return undefined;
  const rest = text.slice(at + key.length + 1, at + key.length + 65);
  const [, sign, digits] = /^\s*([+-]?)(?:0[xX](?=[0-9a-fA-F]))?([0-9a-fA-F]+)/.exec(rest) ?? [];
  if (digits === undefined) throw broken();
  const value = Number.parseInt(digits.slice(-8), 16);
  return sign === '-' && value > 0 ? 2 ** 32 - value : value;
}

/** The image's own content id; {@link NO_CID} if there is none. */
export function contentId(text: DescriptorText): number {
  return hexBehind(text, 'CID') ?? NO_CID;
}

/** Content id that the backing image must have; {@link NO_CID}: there is no backing image. */
export function parentContentId(text: DescriptorText): number {
  const id = hexBehind(text, 'parentCID');
  if (id === undefined) throw broken();
  return id;
}

/** Text between `key` with the two characters behind it (`="`) and the next quotation mark. */
function quoted(text: DescriptorText, key: string): string | undefined {
  const at = text.indexOf(key);
  if (at < 0) return undefined;
  const start = at + key.length + 2;
  const end = text.indexOf('"', start);
  return end < 0 ? undefined : text.slice(start, end);
}

/** `createType`. @throws BlockError if the text has none. */
export function createType(text: DescriptorText): string {
  const type = quoted(text, 'createType');
  if (type === undefined || type.length > MAX_TYPE) throw invalidImage('invalid VMDK image descriptor');
  return nameIn(type);
}

/** Name of the backing image as stored, undefined if there is none. */
export function parentName(text: DescriptorText): string | undefined {
  const key = 'parentFileNameHint';
  if (!text.includes(key)) return undefined;
  const name = quoted(text, key);
  if (name === undefined || name.length > MAX_PARENT) throw broken();
  return name === '' ? undefined : nameIn(name);
}

/**
 * Fields of an extent line; later ones may be missing. The last quotation mark may be missing too. The type ends after
 * ten characters or at a blank, nowhere before.
 */
const LINE = /^\s*(\S{1,9})\s+([+-]?\d+)(?:\s*(?=(\S{1,10}))\3(?:\s*"([^\n\r"]{1,511})("?\s*([+-]?\d+))?)?)?/;

/**
 * Lines that begin as those of extents do. The real tool passes over all of them that it cannot read, and over all but
 * `RW` lines, so that everything behind them moves forward on the disk.
 */
const LIKE_EXTENT = new RegExp(`^\\s*(?:(?:${ACCESS.join('|')})\\s|\\w+\\s+\\d+\\s+(?:${TYPES.join('|')})\\b)`, 'i');

/**
 * All extents, in the order of the disk.
 * @param most the image may have no more.
 * @throws BlockError `Invalid extent line: ...`
 */
export function extentLines(text: DescriptorText, most: number): ExtentLine[] {
  const extents: ExtentLine[] = [];
  for (const line of text.split('\n')) {
    if (!LIKE_EXTENT.test(line)) continue;
    const extent = extentOf(line);
    if (!extent) throw invalidImage(`Invalid extent line: ${nameIn(line.replace(/\r$/, ''))}`);
    if (extent.sectors > 0) extents.push(extent);
    if (extents.length > most) throw new BlockError('limit', `More than ${most} extents`);
  }
  return extents;
}

/** The extent of a line; undefined if it cannot be read. One without sectors may be of any kind: it takes no place. */
function extentOf(line: string): ExtentLine | undefined {
  const [, word, count = '', kind, name, rest, number] = LINE.exec(line) ?? [];
  const access = ACCESS.find((candidate) => candidate === word);
  const parsed = parseInteger(count.replace(/^([+-]?)0+(?=\d)/, '$1'));
  const sectors = parsed.kind === 'ok' ? parsed.value : Number.POSITIVE_INFINITY;
  if (!access || sectors < 0 || count.startsWith('-')) return undefined;
  const known = TYPES.find((candidate) => candidate === kind);
  if (access === 'NOACCESS' || sectors === 0) return { access, sectors, type: known, filename: '', offset: 0 };
  const offset = rest?.startsWith('"') ? number : undefined;
  const start = offset === undefined ? -1 : Number(offset);
  if (!known || (known === 'FLAT' ? start < 0 : offset !== undefined)) return undefined;
  if (known === 'ZERO') return { access, sectors, type: known, filename: '', offset: 0 };
  return name === undefined
    ? undefined
    : { access, sectors, type: known, filename: nameIn(name), offset: Math.max(0, start) };
}

/** The text with another content id. */
export function withContentId(text: DescriptorText, id: number): DescriptorText {
  // The first `CID` is the one that is read, unless it is part of `parentCID`.
  return text.replace(/(?<!parent)(CID[^])[ \t]*(?:0[xX])?[0-9a-fA-F]*/, `$1${hexId(id)}`);
}

function hexId(id: number): string {
  return id.toString(16).padStart(8, '0');
}

/** What a new descriptor says. */
export interface NewDescriptor {
  readonly contentId: number;
  readonly parentContentId: number;
  readonly createType: string;
  readonly parentName: string | undefined;
  /** Extent lines, without line ends. */
  readonly extents: readonly string[];
  readonly hardwareVersion: string;
  readonly toolsVersion: string;
  readonly adapterType: string;
  /** Guest size in sectors, for the geometry. */
  readonly sectors: number;
}

/** Text of a new descriptor, in UTF-8. */
export function encodeDescriptor(what: NewDescriptor): Uint8Array {
  const heads = what.adapterType === 'ide' ? 16 : 255;
  const lines = [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${hexId(what.contentId)}`,
    `parentCID=${hexId(what.parentContentId)}`,
    `createType="${what.createType}"`,
    what.parentName === undefined ? '' : `parentFileNameHint="${what.parentName}"`,
    '# Extent description',
    ...what.extents,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    `ddb.virtualHWVersion = "${what.hardwareVersion}"`,
    `ddb.geometry.cylinders = "${Math.floor(what.sectors / (63 * heads))}"`,
    `ddb.geometry.heads = "${heads}"`,
    'ddb.geometry.sectors = "63"',
    `ddb.adapterType = "${what.adapterType}"`,
    `ddb.toolsVersion = "${what.toolsVersion}"`,
    '',
  ];
  return utf8Bytes(lines.join('\n'));
}
