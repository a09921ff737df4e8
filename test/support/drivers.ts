/** The drivers of nodes that tests have made themselves, for tests that look at what a driver keeps. */
import type { ImageDriver } from '../../src/block/capabilities.ts';
import { ImageNode, type NodeParts } from '../../src/block/node/node.ts';

const drivers = new WeakMap<ImageNode, ImageDriver>();

/** A node whose driver {@link driverBelow} knows. */
export function nodeOf(parts: NodeParts): ImageNode {
  const node = new ImageNode(parts);
  drivers.set(node, parts.driver);
  return node;
}

/** The driver of a node of {@link nodeOf}. */
export function driverBelow(node: ImageNode): ImageDriver {
  const driver = drivers.get(node);
  if (!driver) throw new Error(`${node.name} was made elsewhere`);
  return driver;
}
