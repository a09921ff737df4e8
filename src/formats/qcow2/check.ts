/** Structure check: placeholder of the report. */
import type { Checker } from '../../block/driver.ts';
import type { Qcow2Image } from './image.ts';

/** The checker of an image. */
export function checkerOf(_image: Qcow2Image): Checker {
  return { check: async () => ({ corruptions: 0, leaks: 0, checkErrors: 0, corruptionsFixed: 0, leaksFixed: 0 }) };
}
