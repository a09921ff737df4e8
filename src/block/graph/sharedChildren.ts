/** Storages besides the file that drivers ask for, each opened once. */
import type { OptionTree } from '../../options/tree.ts';
import type { Storage } from '../../storage/storage.ts';
import type { ChildOptions } from '../format.ts';
import { childOptions } from './openOptions.ts';

/** A storage besides the file that a driver asks for. */
export interface ChildRequest extends ChildOptions {
  readonly role: string;
  readonly reference: string | undefined;
}

/**
 * Storages that an image names more than once, in the same words and for the same use: they are opened once. Thousands of
 * opened files whose locks lie on the same bytes take the system very long.
 */
export class SharedChildren {
  readonly #tree: OptionTree;
  readonly #open = new Map<string, Storage>();

  constructor(tree: OptionTree) {
    this.#tree = tree;
  }

  async open(
    wanted: ChildRequest,
    open: (wanted: ChildRequest) => Promise<Storage | undefined>,
  ): Promise<Storage | undefined> {
    const { role, ...words } = wanted;
    // Options are about one of them.
    if (words.reference === undefined || childOptions(this.#tree, role) !== undefined) return open(wanted);
    const key = JSON.stringify(words);
    const known = this.#open.get(key);
    if (known) {
      known.retain();
      return known;
    }
    const child = await open(wanted);
    if (child) this.#open.set(key, child);
    return child;
  }
}
