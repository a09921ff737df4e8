/** Opens the lowest layer of a graph: a protocol. */
import { BlockError } from '../base/error.ts';
import { protocolPrefix } from '../options/filename.ts';
import type { OptionTree } from '../options/tree.ts';
import type { FileAccess } from '../storage/files.ts';
import type { ProtocolDriver, ProtocolStorage } from './driver.ts';
import { coerceTree, ownOptions } from './openOptions.ts';
import type { DriverRegistry } from './registry.ts';
import { closeQuietly, type Scope } from './scope.ts';

/** Opens what `tree` describes: by `driver`, or by the prefix of `filename`. */
export async function openProtocol(tree: OptionTree, scope: Scope, access: FileAccess): Promise<ProtocolStorage> {
  const { drivers, services } = scope.context;
  const { protocol, options } = await resolve(drivers, tree);
  const { filename, ...others } = ownOptions(options, []);
  // A name has to be text: unlike other options it is not made from a number.
  const own = typeof filename === 'string' ? { ...others, filename } : others;
  const { values, unknown } = coerceTree(protocol.openOptions, own);
  const storage = await protocol.open(
    {
      services,
      writable: scope.writable,
      access,
      cache: scope.cache,
      discard: scope.discard,
      warn: (text) => scope.context.onWarning?.(text),
      notice: (text) => scope.context.onNotice?.(text),
    },
    values,
  );
  if (unknown === undefined) return storage;
  await closeQuietly(storage);
  throw new BlockError('invalid-argument', `Block protocol '${protocol.name}' doesn't support the option '${unknown}'`);
}

async function resolve(
  drivers: DriverRegistry,
  tree: OptionTree,
): Promise<{ readonly protocol: ProtocolDriver; readonly options: OptionTree }> {
  const name = tree['driver'];
  if (typeof name === 'string') return { protocol: await drivers.protocol(name), options: tree };
  const { filename, ...others } = tree;
  if (typeof filename !== 'string') {
    if (Object.keys(tree).length > 0) return { protocol: await drivers.protocol('file'), options: tree };
    throw new BlockError('invalid-argument', 'A block device must be specified for "file"');
  }
  const prefix = protocolPrefix(filename);
  const protocol = prefix === undefined ? await drivers.protocol('file') : await drivers.protocolOfPrefix(prefix);
  return { protocol, options: { ...others, ...protocol.parseFilename(filename) } };
}
