/** The host's directory as files and directories with clusters. */
import { BlockError, invalidArgument } from '../../base/error.ts';
import { concatBytes } from '../../base/bytes.ts';
import { SECTOR } from '../../base/offset.ts';
import { isEscaped } from '../../base/text.ts';
import type { FilePort, FileStatus } from '../../storage/files.ts';
import { Attribute, entryOf, setCluster, type Zone } from './entries.ts';
import { ENTRY, type Geometry } from './geometry.ts';
import { longNameEntries, shortName } from './names.ts';

/** Largest file in bytes. */
const MAX_FILE = 0x7fffffff;

/** A run of clusters and what is in them. */
export interface Run {
  /** First cluster; 0 for a root directory that has a place of its own. */
  readonly cluster: number;
  /** Clusters. */
  readonly count: number;
  /** Bytes of content; the rest is zero. */
  readonly length: number;
  /** The content, or the name of the host's file with it. */
  readonly content: Uint8Array | string;
}

/** What is needed to look at the host's directory. */
export interface TreeContext {
  readonly files: FilePort;
  readonly geometry: Geometry;
  readonly zone: Zone;
  /** Name of the volume. */
  readonly label: string;
  /** A line for the user besides the error. */
  notice?(text: string): void;
}

/** A file or directory that still needs clusters. */
interface Node {
  readonly path: string;
  readonly status: FileStatus;
  readonly parent: Directory | undefined;
  /** Where its entry is in the parent. */
  readonly entryAt: number;
}

/** A directory that has its clusters. */
interface Directory {
  readonly node: Node;
  readonly cluster: number;
  readonly bytes: Uint8Array;
}

/** Reads a directory with everything below it. Links are followed, but not back to a directory that contains them. */
export async function readTree(context: TreeContext, root: string): Promise<readonly Run[]> {
  try {
    const status = await context.files.status(root);
    if (status.kind === 'directory') return await walk(context, { path: root, status, parent: undefined, entryAt: 0 });
  } catch (error) {
    if (!(error instanceof BlockError) || error.kind === 'limit') throw error;
  }
  throw new BlockError('not-found', `Could not read directory ${root}`);
}

async function walk(context: TreeContext, root: Node): Promise<readonly Run[]> {
  const { geometry } = context;
  const unit = geometry.cluster * SECTOR;
  const runs: Run[] = [];
  const queue: Node[] = [root];
  let next = 2;
  // Clusters are given out in the order of the queue: a whole level of the tree before the next one.
  for (const node of queue) {
    const placed = node !== root || geometry.rootEntries === 0;
    const cluster = placed ? next : 0;
    const isDirectory = node.status.kind === 'directory';
    const content = isDirectory ? await readDirectory(context, node, cluster, queue) : node.path;
    const length = typeof content === 'string' ? node.status.size : content.length;
    const count = placed ? Math.max(isDirectory ? 1 : 0, Math.ceil(length / unit)) : 0;
    next += count;
    if (next - 2 > geometry.clusters) throw doesNotFit(geometry);
    runs.push({ cluster, count, length, content });
    if (node.parent && count > 0) setCluster(node.parent.bytes, node.entryAt, cluster);
  }
  return runs;
}

function doesNotFit({ fatType, sectors }: Geometry): BlockError {
  const capacity = (sectors / 2000).toFixed(2);
  return new BlockError('limit', `Directory does not fit in FAT${fatType} (capacity ${capacity} MB)`);
}

/** The entries of a directory; what is in it goes to the end of the queue. */
async function readDirectory(context: TreeContext, node: Node, cluster: number, queue: Node[]): Promise<Uint8Array> {
  const { files, zone } = context;
  const pieces: Uint8Array[] = [];
  const children: { readonly path: string; readonly status: FileStatus; readonly entryAt: number }[] = [];
  const taken = new Set<string>();
  let length = 0;
  const add = (bytes: Uint8Array): void => {
    pieces.push(bytes);
    length += bytes.length;
  };
  if (node.parent) addDots(node, node.parent, zone, add);
  else add(entryOf(context.label, Attribute.volume, 0, undefined, zone));
  for (const name of await files.list(node.path)) {
    const path = `${node.path}/${name}`;
    const status = await statusOf(files, path);
    if (!status || isAbove(status, node)) continue;
    const short = shortName(name, taken);
    if (short === undefined) throw new BlockError('limit', `Too many similar names in ${node.path}`);
    if (status.size > MAX_FILE) return refuse(context, `File ${path} is larger than 2GB`);
    if (isEscaped(name)) context.notice?.(`vvfat: invalid UTF-8 name: ${name}`);
    else add(longNameEntries(name, short));
    children.push({ path, status, entryAt: length });
    const isDirectory = status.kind === 'directory';
    add(
      entryOf(short, isDirectory ? Attribute.directory : Attribute.file, isDirectory ? 0 : status.size, status, zone),
    );
  }
  if (!node.parent && context.geometry.rootEntries > 0 && length > context.geometry.rootEntries * ENTRY) {
    return refuse(context, 'Too many entries in root directory');
  }
  const directory: Directory = { node, cluster, bytes: concatBytes(pieces) };
  if (node.parent) {
    setCluster(directory.bytes, 0, cluster);
    // The root counts as cluster 0 here, wherever it is.
    setCluster(directory.bytes, ENTRY, node.parent.node.parent ? node.parent.cluster : 0);
  }
  for (const child of children) queue.push({ ...child, parent: directory });
  return directory.bytes;
}

function addDots(node: Node, parent: Directory, zone: Zone, add: (bytes: Uint8Array) => void): void {
  add(entryOf('.'.padEnd(11), Attribute.directory, 0, node.status, zone));
  add(entryOf('..'.padEnd(11), Attribute.directory, 0, parent.node.status, zone));
}

/** Stops with a line of its own, as the real tool does. */
function refuse(context: TreeContext, line: string): never {
  context.notice?.(line);
  throw invalidArgument(line);
}

/** What a file is; undefined for links that lead nowhere and files that went away. */
async function statusOf(files: FilePort, path: string): Promise<FileStatus | undefined> {
  try {
    return await files.status(path);
  } catch {
    return undefined;
  }
}

/** True if a directory is the one that contains it, or one further up (a link in a circle). */
function isAbove(status: FileStatus, node: Node): boolean {
  if (status.kind !== 'directory') return false;
  for (let above: Node | undefined = node; above; above = above.parent?.node) {
    if (above.status.identity === status.identity) return true;
  }
  return false;
}
