/** What `info` prints. */
import { humanSize, exactDecimal } from '../base/size.ts';
import type { ImageInfo, InfoResult, SnapshotEntry } from '../operations/info.ts';
import type { Limits } from '../storage/storage.ts';
import { describeValues } from './human.ts';
import { formatJson, type JsonValue } from './json.ts';
import { snapshotLine, snapshotTitle } from './snapshots.ts';

const INDENT = '    ';

/** For people; images of a chain are separated by empty lines. */
export function formatInfo(result: InfoResult): string {
  return result.images.map((image) => `${describe(image, '', '').join('\n')}\n`).join('\n');
}

/**
 * For programs.
 * @param chain a list, even of one image: what `--backing-chain` prints.
 */
export function formatInfoJson(result: InfoResult, chain: boolean): string {
  const images = result.images.map(toJson);
  return `${formatJson(chain ? images : (images[0] ?? null))}\n`;
}

/** @param path of the node below the image, `/file`; empty for the image itself. */
function describe(info: ImageInfo, path: string, margin: string): string[] {
  return linesOf(info, path).map((line) => margin + line);
}

/** In pieces: an image may have more lines than a call takes arguments. */
function linesOf(info: ImageInfo, path: string): string[] {
  const asFile = path !== '' && info.protocol;
  const size = `${humanSize(info.virtualSize)} (${exactDecimal(info.virtualSize)} bytes)`;
  const lines = asFile
    ? [`filename: ${info.filename}`, `protocol type: ${info.format}`, `file length: ${size}`]
    : [`image: ${info.filename}`, `file format: ${info.format}`, `virtual size: ${size}`];
  lines.push(`disk size: ${info.actualSize === undefined ? 'unavailable' : humanSize(info.actualSize)}`);
  if (info.encrypted) lines.push('encrypted: yes');
  if (info.clusterSize) lines.push(`cluster_size: ${info.clusterSize}`);
  if (info.dirty) lines.push('cleanly shut down: no');
  lines.push(...backingLines(info));
  if (info.limits) lines.push('Block limits:', ...describeValues(limitValues(info.limits), INDENT));
  if (info.snapshots.length > 0) lines.push('Snapshot list:', snapshotTitle);
  const { data = {} } = info.specific ?? {};
  const specific = Object.keys(data).length > 0 ? ['Format specific information:'] : [];
  return lines.concat(
    info.snapshots.map(snapshotLine),
    specific,
    describeValues(data, INDENT),
    ...info.children.map((child) => childLines(child, `${path}/${child.name}`)),
  );
}

function childLines({ info }: ImageInfo['children'][number], path: string): string[] {
  return [`Child node '${path}':`].concat(describe(info, path, INDENT));
}

function backingLines(info: ImageInfo): string[] {
  if (info.backingFile === undefined) return [];
  const full = info.fullBackingFile;
  let line = `backing file: ${info.backingFile}`;
  if (full === undefined) line += ' (cannot determine actual path)';
  else if (full !== info.backingFile) line += ` (actual path: ${full})`;
  return info.backingFormat === undefined ? [line] : [line, `backing file format: ${info.backingFormat}`];
}

/** Names and order of the limits as the real tool shows them. */
const LIMIT_NAMES: readonly (readonly [name: string, key: Exclude<keyof Limits, 'distant'>])[] = [
  ['write-zeroes-alignment', 'writeZeroesAlignment'],
  ['request-alignment', 'requestAlignment'],
  ['opt-transfer', 'optimalTransfer'],
  ['min-mem-alignment', 'minMemoryAlignment'],
  ['max-transfer', 'maxTransfer'],
  ['discard-alignment', 'discardAlignment'],
  ['opt-mem-alignment', 'optimalMemoryAlignment'],
  ['max-iov', 'maxIov'],
  ['max-write-zeroes', 'maxWriteZeroes'],
  ['max-discard', 'maxDiscard'],
];

/** The limits that there are; 0 means no limit. */
function limitValues(limits: Limits): Record<string, number> {
  const values: Record<string, number> = {};
  for (const [name, key] of LIMIT_NAMES) {
    const value = limits[key];
    if (value) values[name] = value;
  }
  return values;
}

function toJson(info: ImageInfo): JsonValue {
  return {
    limits: info.limits && limitValues(info.limits),
    children: info.children.map((child) => ({ name: child.name, info: toJson(child.info) })),
    'backing-filename-format': info.backingFormat,
    snapshots: info.snapshots.length > 0 ? info.snapshots.map(snapshotJson) : undefined,
    'virtual-size': info.virtualSize,
    filename: info.filename,
    'cluster-size': info.clusterSize,
    compressed: info.compressed,
    format: info.format,
    'actual-size': info.actualSize,
    'format-specific': info.specific && { type: info.specific.type, data: info.specific.data },
    'full-backing-filename': info.fullBackingFile,
    encrypted: info.encrypted === true ? true : undefined,
    'backing-filename': info.backingFile,
    'dirty-flag': info.dirty,
  };
}

function snapshotJson(entry: SnapshotEntry): JsonValue {
  return {
    icount: entry.instructionCount === undefined ? undefined : BigInt(entry.instructionCount),
    'vm-clock-nsec': entry.vmClockNanoseconds,
    name: entry.name,
    'date-sec': entry.dateSeconds,
    'date-nsec': entry.dateNanoseconds,
    'vm-clock-sec': entry.vmClockSeconds,
    id: entry.id,
    'vm-state-size': entry.vmStateSize,
  };
}
