/** From a name to an option tree. */
import { unsupported } from '../../base/error.ts';
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
  const above = format !== undefined && drivers.isFilter(format) ? await drivers.filter(format) : undefined;
  if (above?.names && above.roles.length === 1) {
    return { driver: above.name, [above.roles[0].role]: (await treeOfName(drivers, name))['file'] ?? null };
  }
  const protocol =
    prefix === undefined ? await drivers.protocol(PLAIN_PROTOCOL) : await drivers.protocolOfPrefix(prefix);
  const own = { driver: protocol.name, ...protocol.parseFilename(name) };
  if (format === undefined) return { file: own };
  return { driver: format, file: own };
}

/** As {@link treeOfName}, for a name with the prefix of a filter, which goes on with other names. */
async function filterTree(drivers: DriverRegistry, prefix: string, name: string, format?: string): Promise<OptionTree> {
  const filter = await drivers.filter(prefix);
  if (!filter.names) throw unsupported(`Unknown protocol '${prefix}'`);
  const { children, options } = filter.names.parse(name);
  const own: Record<string, OptionTree[string]> = { driver: filter.name, ...options };
  for (const { role, image } of filter.roles) {
    const child = children[role];
    if (child === undefined) continue;
    const tree = await treeOfName(drivers, child);
    own[role] = image ? tree : (tree['file'] ?? null);
  }
  return format === filter.name ? own : { ...(format === undefined ? {} : { driver: format }), file: own };
}
