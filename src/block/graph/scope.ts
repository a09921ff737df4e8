/** What a whole graph has in common while it is being opened. */
import { BlockError, invalidArgument } from '../../base/error.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { CacheMode, FileAccess } from '../../storage/files.ts';
import type { GraphContext } from './context.ts';
import type { OpenIntent } from '../format.ts';
import type { NamedNodes } from './namedNodes.ts';
import { accessFor } from './permission.ts';

/** Which images nobody may write to meanwhile, not even if they are raw: the opened one, or all below it too. */
export type StillImages = 'image' | 'chain' | undefined;

/** Settings of one opening; layers further down get changed copies. */
export interface Scope {
  readonly context: GraphContext;
  readonly writable: boolean;
  /** Options say that the node is opened for writing (`read-only=off`), though nobody is going to write. */
  readonly insists?: boolean;
  readonly intent: OpenIntent;
  readonly keyless: boolean;
  readonly mapOnly: boolean;
  readonly noBacking: boolean;
  readonly forceShare: boolean;
  readonly resize: boolean;
  readonly still: StillImages;
  readonly cache: CacheMode | undefined;
  readonly discard: 'ignore' | 'unmap' | undefined;
  /** Names of nodes that are taken; undefined where nodes are opened again. */
  readonly nodes: NamedNodes | undefined;
  /** As in `OpenRequest`; of the opened image only, not of those below it. */
  readonly calledAs?: string;
  /** Identities of the files of the images above; a repetition is a loop. */
  readonly above: readonly string[];
  /** The format that was found when the image was opened for the first time: it is not looked for again. */
  readonly probed?: string | undefined;
  /** As in `OpenRequest`. */
  readonly whole?: boolean;
  /** What is in a compressed file or an archive is opened, and not the file as it is. Of the opened image only. */
  readonly unpack?: boolean;
  /** Access that the layer above asks for, when this node is its `file`. */
  readonly inherited?: FileAccess;
}

/**
 * The access that an image needs to the file below it.
 * @param sharesFile as `FormatDriver.sharesFile`.
 * @param dataOnly the file holds nothing but guest data.
 */
export function accessOf(sharesFile: boolean, scope: Scope, dataOnly = false): FileAccess {
  return accessFor({
    sharesFile,
    writable: scope.writable,
    describeOnly: scope.intent === 'info',
    forceShare: scope.forceShare,
    resize: scope.resize,
    still: scope.still !== undefined,
    dataOnly,
  });
}

/** What {@link Scope.still} is for the images that an image refers to. */
export function stillBelow(scope: Scope): StillImages {
  return scope.still === 'chain' ? 'chain' : undefined;
}

/** What is wrong with options that name neither a driver nor a file. */
export const NO_DRIVER = 'Must specify either driver or file';

/** What is wrong where the child of a node is missing. */
export function noChild(role: string): string {
  return `A block device must be specified for "${role}"`;
}

/** The error for a child that is not described by options. Text would be the name of a node; none has a name here. */
export function notAChild(role: string, child: OptionTree[string] | undefined): BlockError {
  if (typeof child === 'string') {
    return new BlockError('not-found', `Cannot find device='${child}' nor node-name='${child}'`);
  }
  return invalidArgument(Array.isArray(child) && child.length > 0 ? NO_DRIVER : noChild(role));
}

/** Closes something after a failure; a second failure would only hide the first. */
export async function closeQuietly(what: { close(): unknown } | undefined): Promise<void> {
  try {
    await what?.close();
  } catch {
    // The first error is the one to report.
  }
}
