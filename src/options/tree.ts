/** Open options as a tree: the common shape of `json:{...}`, dotted `a.b=c` and API objects. */

/** A leaf of an option tree. */
export type OptionLeaf = string | number | boolean | null;

/** Options by name; nested objects for children (`file`, `backing`). A string for a child is a node name or file name. */
export interface OptionTree {
  readonly [name: string]: OptionLeaf | OptionTree | readonly (OptionLeaf | OptionTree)[];
}
