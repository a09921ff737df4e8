/** A filter as a node of a graph. */
import { andThen, type MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import { CheckedStorage } from '../../storage/checked.ts';
import type { Storage } from '../../storage/storage.ts';
import type { ImageDriver } from '../capabilities.ts';
import type { FilterContext, FilterDriver, FilterStorage } from '../filter.ts';
import type { Mapping } from '../mapping.ts';
import { ImageNode, type Reopen } from '../node/node.ts';
import { plainDriver } from './passThrough.ts';

/**
 * A filter over the nodes of `context`, as a node of a graph.
 * @param how `grows`: it is the `file` of another layer. `unsafe`: nothing is flushed.
 */
export async function filterNode(
  filter: FilterDriver,
  context: FilterContext,
  how: {
    readonly name: string;
    readonly grows: boolean;
    readonly unsafe: boolean;
    readonly reopen: Reopen;
    readonly tellOfClose: (text: string) => void;
  },
): Promise<ImageNode> {
  const { below, children, readOnly } = context;
  const { name, grows, reopen, unsafe } = how;
  const opened = await filter.open(context);
  const { requestAlignment } = opened.limits;
  if (!readOnly && !grows && opened.size() % requestAlignment !== 0) {
    const why = 'Image size is not a multiple of request alignment';
    throw new BlockError('permission-denied', `Cannot get 'write' permission without 'resize': ${why}`);
  }
  // Whoever asks where bytes are wants to know about the file.
  const storage = new CheckedStorage(opened, { name: below.name, readOnly });
  return new ImageNode({
    name,
    format: filter.name,
    driver: filterImage(filter, storage, opened, below, unsafe),
    compresses: filter.compresses ?? false,
    unsafe,
    ...(opened.debugEvent ? { tellOfClose: how.tellOfClose } : {}),
    readOnly,
    grows,
    reopen,
    file: below,
    filter: {
      role: roleOf(context),
      opaque: filter.opaque ?? false,
      placeless: filter.placeless ?? false,
      single: filter.roles.length === 1 && !filter.roles[0].many,
      children,
    },
  });
}

function roleOf({ children, below }: FilterContext): string {
  return children.find(({ node }) => node === below)?.role ?? 'file';
}

function filterImage(
  filter: FilterDriver,
  storage: CheckedStorage,
  opened: FilterStorage,
  below: Storage,
  unsafe: boolean,
): ImageDriver {
  const plain = plainDriver(storage, { unsafe, resizable: opened.truncate !== undefined });
  const { writing } = plain;
  return {
    ...plain,
    get virtualSize() {
      return plain.virtualSize;
    },
    writing: {
      ...writing,
      compressor: opened.compressor,
    },
    map: filter.opaque
      ? (offset, length) => ownStatus(storage, offset, length)
      : (offset, length) => statusBelow(opened, storage, below, offset, length),
    through: storage,
    verify: async () => opened.verify?.(),
    info: () => ({}),
    quirks: filter.quirks ?? {},
  };
}

function ownStatus(storage: Storage, offset: number, length: number): MaybePromise<Mapping> {
  return andThen(storage.status(offset, length), (extent): Mapping => {
    if (extent.kind === 'hole') return { kind: 'zero', length: Math.min(extent.length, length) };
    return { kind: 'special', length: Math.min(extent.length, length), compressed: false, encrypted: false };
  });
}

/** What is below says where the bytes are, and so does what is below that: a filter is no layer of its own. */
function statusBelow(
  opened: FilterStorage,
  storage: Storage,
  below: Storage,
  offset: number,
  length: number,
): MaybePromise<Mapping> {
  opened.admitStatus?.(offset, length);
  if (!(below instanceof ImageNode)) return { kind: 'data', length, storage, offset, sparse: true };
  if (offset >= below.size()) return { kind: 'unallocated', length };
  return below.map(offset, length);
}
