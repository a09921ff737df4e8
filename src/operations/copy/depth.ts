/** Where an image is in a chain. */
import type { ImageNode } from '../../block/node/node.ts';
import { identityOf } from '../../block/graph/bottom.ts';

/** Number of layers above an image in the chain of `top`; undefined if it is not below `top`. */
export function depthBelow(top: ImageNode, image: ImageNode): number | undefined {
  const wanted = identityOf(image);
  if (wanted === undefined) return undefined;
  let depth = 1;
  for (let node = top.backing; node; node = node.backing, depth++) if (identityOf(node) === wanted) return depth;
  return undefined;
}
