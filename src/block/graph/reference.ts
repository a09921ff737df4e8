/** From a name to an option tree. */
import { PLAIN_PROTOCOL, protocolPrefix } from '../../options/filename.ts';
import { parseJsonName } from '../../options/jsonName.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { DriverRegistry } from './registry.ts';

/**
 * The option tree that a name stands for.
 * @param name file name, `json:{...}` or `protocol:...`.
 * @param format driver of the image, if known; it counts for more than a driver in `json:{...}`.
 */
export async function treeOfName(drivers: DriverRegistry, name: string, format?: string): Promise<OptionTree> {
  if (format !== undefined && !drivers.has(format)) throw drivers.unknown('driver', format);
  if (name.startsWith('json:')) {
    const tree = parseJsonName(name);
    return format === undefined ? tree : { ...tree, driver: format };
  }
  if (format !== undefined && drivers.isProtocol(format)) {
    return { driver: format, ...(await drivers.protocol(format)).parseFilename(name) };
  }
  const prefix = protocolPrefix(name);
  if (prefix !== undefined && drivers.isFilter(prefix)) return filterTree(drivers, prefix, name, format);
  const protocol =
    prefix === undefined ? await drivers.protocol(PLAIN_PROTOCOL) : await drivers.protocolOfPrefix(prefix);
  const own = { driver: protocol.name, ...protocol.parseFilename(name) };
  if (format === undefined) return { file: own };
  return { driver: format, file: own };
}

/** As {@link treeOfName}, for a name with the prefix of a filter, which goes on with another name. */
async function filterTree(drivers: DriverRegistry, prefix: string, name: string, format?: string): Promise<OptionTree> {
  const filter = await drivers.filter(prefix);
  const { child, options } = filter.names?.parse(name) ?? { child: name.slice(prefix.length + 1), options: {} };
  const { file } = await treeOfName(drivers, child);
  const own = { driver: filter.name, [filter.child]: file ?? null, ...options };
  return format === filter.name ? own : { ...(format === undefined ? {} : { driver: format }), file: own };
}
