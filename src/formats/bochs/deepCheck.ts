/** Structure check of growing Bochs disks. */
import { divideUp, SECTOR } from '../../base/offset.ts';
import type { Checker } from '../../block/capabilities.ts';
import { type ClusterCounts, StructureCheck } from '../../block/kit/structureCheck.ts';
import type { Storage } from '../../storage/storage.ts';
import { type Header, UNALLOCATED } from './header.ts';

/**
 * The checker of a disk: extents lie in the file, one guest extent each, and all that the file has are used.
 * @param catalog numbers of extents by guest extent.
 */
export function deepCheckerOf(file: Storage, header: Header, catalog: DataView): Checker {
  return {
    deepOnly: true,
    repairs: false,
    async check(_, report) {
      const { extent, entries, bitmapBytes, catalogOffset, dataOffset, virtualSize } = header;
      const check = new StructureCheck(report, file.size());
      check.claim('the header', 0, SECTOR);
      check.claim('the catalog', catalogOffset, entries * 4);
      const inUse = divideUp(virtualSize, extent);
      const clusters: ClusterCounts = { total: inUse, allocated: 0, fragmented: 0, compressed: 0 };
      let last: number | undefined;
      for (let index = 0; index < entries; index++) {
        const entry = catalog.getUint32(index * 4, true);
        if (entry === UNALLOCATED) continue;
        if (index >= inUse) check.damage(`catalog entry ${index} is behind the end of the disk`);
        check.claim('an extent', dataOffset + entry * (bitmapBytes + extent), bitmapBytes + extent, `extent ${index}`);
        clusters.allocated++;
        if (last !== undefined && entry !== last + 1) clusters.fragmented++;
        last = entry;
      }
      return check.finish(bitmapBytes + extent, clusters);
    },
  };
}
