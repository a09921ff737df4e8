/** Names as their protocols understand them: what they refer to, where relative ones lead. */
import { invalidArgument, unsupported } from '../../base/error.ts';
import { isRelative, PLAIN_PROTOCOL, protocolPrefix, relativeTo } from '../../options/filename.ts';
import { isJsonName } from '../../options/jsonName.ts';
import type { AnyOptionValues } from '../../options/table.ts';
import type { FileAccess } from '../../storage/files.ts';
import type { ProtocolContext, ProtocolDriver, ProtocolStorage } from '../protocol.ts';
import type { GraphContext } from './context.ts';
import { treeOfName } from './reference.ts';

/** The protocol that a name for a new image belongs to. */
export async function protocolOfName(context: GraphContext, filename: string): Promise<ProtocolDriver> {
  const tree = await treeOfName(context.drivers, filename);
  const file = tree['file'] as { readonly driver?: string } | undefined;
  const name = file?.driver ?? PLAIN_PROTOCOL;
  if (context.drivers.isFilter(name)) {
    throw unsupported(`Protocol driver '${name}' does not support image creation`);
  }
  return context.drivers.protocol(name);
}

/** What a protocol gets to create something, or to open what it has created. */
export function creating(context: GraphContext, access?: FileAccess): ProtocolContext {
  return {
    services: context.services,
    writable: true,
    access,
    cache: undefined,
    discard: 'unmap',
    warn: (text, hint) => context.onWarning?.(text, hint),
  };
}

/** Opens what has a name for writing, without a format. */
export async function openNamed(context: GraphContext, filename: string, access: FileAccess): Promise<ProtocolStorage> {
  const protocol = await protocolOfName(context, filename);
  return protocol.open(creating(context, access), protocol.parseFilename(filename) as AnyOptionValues);
}

/** True if a name leads to the object of that identity; false also where the protocol of the name cannot tell. */
export async function isNameOf(context: GraphContext, filename: string, identity: string): Promise<boolean> {
  try {
    const { names } = await protocolOfName(context, filename);
    const status = await names?.status(context.services, filename);
    return status?.identity === identity;
  } catch {
    // Whoever opens the name will say what is wrong with it.
    return false;
  }
}

/**
 * The whole name of what an image at `base` calls `name`; undefined if `name` is relative and there is nothing that it could
 * count from, as in a `json:` description.
 */
export async function nameFrom({ drivers }: GraphContext, base: string, name: string): Promise<string | undefined> {
  if (!isRelative(name) || isJsonName(base)) return relativeTo(base, name);
  const prefix = protocolPrefix(base) ?? PLAIN_PROTOCOL;
  const owner = drivers.protocols.find(({ prefixes }) => prefixes.includes(prefix));
  const protocol = await owner?.load();
  return protocol?.resolve ? protocol.resolve(base, name) : relativeTo(base, name);
}

/**
 * As {@link nameFrom}.
 * @throws BlockError where there is no such name.
 */
export async function placed(context: GraphContext, parent: string, reference: string): Promise<string> {
  const name = await nameFrom(context, parent, reference);
  if (name !== undefined) return name;
  throw invalidArgument(`Cannot generate a base directory with the name '${parent}'`);
}
