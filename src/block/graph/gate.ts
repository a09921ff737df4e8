/**
 * The gate: everything that an image names by itself (backing files, data files, extents) is asked for here before it
 * is opened. Names that the user typed do not pass it.
 */
import { BlockError } from '../../base/error.ts';
import { isTree } from '../../options/dotted.ts';
import { PLAIN_PROTOCOL, directoryOf, relativeTo } from '../../options/filename.ts';
import type { OptionTree } from '../../options/tree.ts';

/** A file that an image wants opened. */
export interface ImplicitReference {
  /** `backing`, `data-file`, `extents.0` and so on. */
  readonly role: string;
  /** Name of the image that has the reference. */
  readonly parent: string;
  /** The reference as stored in the image. */
  readonly reference: string;
  /** What would be opened. */
  readonly target: OptionTree;
}

/** Decides on one reference: returns to let it through, throws kind `denied` to refuse. */
export type Gate = (reference: ImplicitReference) => void | Promise<void>;

/** Lets everything through, as `qemu-img` does. */
export const permissiveGate: Gate = () => {};

/** Refuses everything: images must be self-contained. */
export const closedGate: Gate = ({ role, parent, reference }) => {
  throw new BlockError('denied', `'${parent}' refers to another file ('${reference}', ${role}), which is not allowed`, {
    context: { filename: parent, access: 'open' },
    hint: { about: 'implicit-open' },
  });
};

/**
 * Lets plain files through that lie in the directory of the image that names them; links are followed. Everything else
 * is refused: other directories, devices, protocols, `json:` names.
 */
export const sameDirectoryGate: Gate = (reference) => {
  const { parent, target } = reference;
  const file = isTree(target['file']) ? target['file'] : target;
  const name = file['filename'];
  const plain = name === reference.reference || name === relativeTo(parent, reference.reference);
  if (
    file['driver'] !== PLAIN_PROTOCOL ||
    !plain ||
    typeof name !== 'string' ||
    tidy(directoryOf(name)) !== tidy(directoryOf(parent))
  )
    return closedGate(reference);
};

/** A directory's name without steps that lead nowhere. */
function tidy(directory: string): string {
  const parts = directory.split('/').filter((part) => part !== '' && part !== '.');
  return `${directory.startsWith('/') ? '/' : ''}${parts.join('/')}`;
}
