/**
 * A protocol that nobody needs: boxes of bytes on shelves, `toy:BOX@SHELF`. It shows what a protocol consists of, and that
 * nothing else has to know it: docs/ARCHITECTURE.md, "Add a protocol".
 */
import { invalidArgument, posixError } from '../../../src/base/error.ts';
import type { ProtocolDriver, ProtocolNames, ProtocolStorage } from '../../../src/block/protocol.ts';
import type { ProtocolEntry } from '../../../src/block/graph/registry.ts';
import { CheckedStorage } from '../../../src/storage/checked.ts';
import { MemoryDriver } from '../../../src/storage/memory.ts';

/** What is there: a box by its place, `BOX@SHELF`. */
export type Boxes = Map<string, Box>;

/** The bytes of one box, whatever its place is now. */
interface Box {
  readonly identity: string;
  readonly bytes: MemoryDriver;
}

const openOptions = { place: { kind: 'string', help: 'Box and shelf' } } as const;
const createOptions = { size: { kind: 'size', help: 'Size of the box' } } as const;

function placeOf(name: string): string {
  const place = name.replace(/^toy:/, '');
  if (/^[^@]+@[^@]+$/.test(place)) return place;
  throw invalidArgument(`'${name}' does not say which box on which shelf`);
}

/** An empty box, not in its place yet. */
function newBox(boxes: Boxes): Box {
  const numbers = [...boxes.values()].map(({ identity }) => Number(identity));
  return { identity: String(1 + Math.max(0, ...numbers)), bytes: new MemoryDriver() };
}

function boxAt(boxes: Boxes, place: string): Box {
  const box = boxes.get(place);
  if (box) return box;
  throw posixError('not-found', `Could not open 'toy:${place}'`, {
    context: { filename: `toy:${place}`, access: 'open' },
  });
}

function storageOf({ identity, bytes }: Box, place: string, readOnly: boolean): ProtocolStorage {
  const storage = new CheckedStorage(bytes, { name: `toy:${place}`, readOnly });
  return Object.assign(storage, { identity, protocol: 'toy' });
}

function namesOf(boxes: Boxes): ProtocolNames {
  return {
    async status(_services, name) {
      const box = boxes.get(placeOf(name));
      return box && { kind: 'file', size: box.bytes.size(), identity: box.identity };
    },
    async remove(_services, name) {
      boxAt(boxes, placeOf(name));
      boxes.delete(placeOf(name));
    },
    async draft(_services, name) {
      const place = placeOf(name);
      const workbench = `${place.replace('@', ' of ')}@workbench`;
      boxes.set(workbench, newBox(boxes));
      return {
        at: `toy:${workbench}`,
        async publish() {
          boxes.set(place, boxAt(boxes, workbench));
          boxes.delete(workbench);
        },
        async discard() {
          boxes.delete(workbench);
        },
      };
    },
  };
}

/** The protocol over these boxes. */
export function toyProtocol(boxes: Boxes): ProtocolDriver<typeof openOptions, typeof createOptions> {
  return {
    name: 'toy',
    prefixes: ['toy'],
    openOptions,
    createOptions,
    parseFilename: (name) => ({ place: placeOf(name) }),
    // A box of the same shelf.
    resolve: (base, name) => `toy:${name}@${placeOf(base).replace(/^.*@/, '')}`,
    names: namesOf(boxes),
    async open({ writable }, { place }) {
      if (place === undefined) throw invalidArgument("'toy' needs a place");
      return storageOf(boxAt(boxes, place), place, !writable);
    },
    async create(_context, name, { size = 0 }) {
      const place = placeOf(name);
      const box = boxes.get(place) ?? newBox(boxes);
      boxes.set(place, box);
      box.bytes.truncate(0, 'off');
      box.bytes.truncate(size, 'off');
    },
  };
}

/** The line for the registry. */
export function toyEntry(boxes: Boxes): ProtocolEntry {
  return { name: 'toy', prefixes: ['toy'], load: async () => toyProtocol(boxes) };
}
