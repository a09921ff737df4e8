/** Opens the lowest layer of a graph: a protocol. */
import { PLAIN_PROTOCOL } from '../../options/filename.ts';
import { invalidArgument } from '../../base/error.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { FileAccess } from '../../storage/files.ts';
import type { ProtocolDriver, ProtocolStorage } from '../protocol.ts';
import { coerceTree, ownOptions } from './openOptions.ts';
import type { DriverRegistry } from './registry.ts';
import { closeQuietly, NO_DRIVER, noChild, type Scope } from './scope.ts';

/** Opens what `tree` describes: by `driver`, or a file. */
export async function openProtocol(tree: OptionTree, scope: Scope, access: FileAccess): Promise<ProtocolStorage> {
  const { drivers, services } = scope.context;
  const protocol = await protocolOf(drivers, tree);
  const { filename, ...others } = ownOptions(tree, []);
  // A name has to be text: unlike other options it is not made from a number.
  const own = typeof filename === 'string' ? { ...others, filename } : others;
  const { values, unknown } = coerceTree(protocol.openOptions, own);
  const storage = await protocol.open(
    {
      services,
      writable: scope.writable,
      insists: scope.insists ?? false,
      access,
      cache: scope.cache,
      discard: scope.discard,
      given: own,
      warn: (text, hint) => scope.context.onWarning?.(text, hint),
      complain: (text) => scope.context.onComplaint?.(text),
      notice: (text) => scope.context.onNotice?.(text),
    },
    values,
  );
  if (unknown === undefined) {
    scope.context.deadline?.watch(storage);
    return storage;
  }
  await closeQuietly(storage);
  throw invalidArgument(`Block protocol '${protocol.name}' doesn't support the option '${unknown}'`);
}

/** The driver of a tree. A name among options is a plain file's, whatever it begins with. */
async function protocolOf(drivers: DriverRegistry, tree: OptionTree): Promise<ProtocolDriver> {
  const name = tree['driver'];
  if (typeof name === 'string') return drivers.protocol(name);
  if (tree['filename'] !== undefined) return drivers.protocol(PLAIN_PROTOCOL);
  throw invalidArgument(Object.keys(tree).length > 0 ? NO_DRIVER : noChild('file'));
}
