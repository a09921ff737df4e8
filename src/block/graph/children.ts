/** Storages besides the file that an image consists of: a data file, extents. */
import { invalidArgument } from '../../base/error.ts';
import { isTree } from '../../options/dotted.ts';
import type { OptionTree } from '../../options/tree.ts';
import type { Storage } from '../../storage/storage.ts';
import type { ChildOptions } from '../format.ts';
import { type FileNode, placeName, setAccess } from './bottom.ts';
import { placed } from './names.ts';
import { childOptions, driverName, withGiven } from './openOptions.ts';
import { accessOf, closeQuietly, noChild, type Scope, stillBelow } from './scope.ts';

/** A storage besides the file that a driver asks for. */
interface ChildRequest extends ChildOptions {
  readonly role: string;
  /** As the image has it; undefined if it names none. */
  readonly reference: string | undefined;
}

/** Opens what stands in the place of a file. */
type OpenFile = (target: OptionTree[string], scope: Scope) => Promise<FileNode>;

/**
 * Opens what one image names, or what options name instead. What an image names more than once, in the same words and for
 * the same use, is opened once: thousands of opened files whose locks lie on the same bytes take the system very long.
 */
export class NamedChildren {
  readonly #tree: OptionTree;
  readonly #parent: string;
  readonly #scope: Scope;
  readonly #openFile: OpenFile;
  readonly #shared = new Map<string, Storage>();

  /** @param tree options of the image. @param file it is in that one: names are relative to it. */
  constructor(tree: OptionTree, file: FileNode, scope: Scope, openFile: OpenFile) {
    this.#tree = tree;
    this.#parent = placeName(file);
    this.#scope = scope;
    this.#openFile = openFile;
  }

  /** The storage; undefined if there is none, and none is needed. */
  async open(wanted: ChildRequest): Promise<Storage | undefined> {
    const { role, ...words } = wanted;
    const given = childOptions(this.#tree, role);
    // Options are about one of them.
    if (words.reference === undefined || given !== undefined) return this.#open(wanted, given);
    const key = JSON.stringify(words);
    const known = this.#shared.get(key);
    if (known) {
      known.retain();
      return known;
    }
    const child = await this.#open(wanted, given);
    if (child) this.#shared.set(key, child);
    return child;
  }

  async #open(wanted: ChildRequest, given: OptionTree[string] | undefined): Promise<Storage | undefined> {
    const scope = this.#scope;
    const inner: Scope = {
      ...scope,
      writable: wanted.writable ?? scope.writable,
      still: stillBelow(scope),
      unpack: false,
    };
    let target = given;
    // Elements of lists complete what the image says, others take its place.
    if (target === undefined || wanted.role.includes('.')) {
      if (wanted.reference === undefined) {
        if (wanted.optional) return undefined;
        throw invalidArgument(noChild(wanted.role));
      }
      target = await this.#named(wanted, wanted.reference, given);
    }
    const child = await this.#openFile(target, inner);
    try {
      await setAccess(child, accessOf(false, inner, wanted.dataOnly));
      return child;
    } catch (error) {
      await closeQuietly(child);
      throw error;
    }
  }

  /** Options for a name inside the image, which may be opened. */
  async #named(
    { role, asGiven }: ChildRequest,
    reference: string,
    given: OptionTree[string] | undefined,
  ): Promise<OptionTree> {
    const { context } = this.#scope;
    // Names inside images are plain file names: never `json:`, never a protocol.
    const filename = asGiven ? reference : await placed(context, this.#parent, reference);
    const driver = isTree(given) ? driverName(given) : undefined;
    const plain = withGiven(filename, given, driver !== undefined && context.drivers.isFormat(driver));
    await context.gate({ role, parent: this.#parent, reference, target: plain });
    return plain;
  }
}
