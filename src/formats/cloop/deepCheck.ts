/** Structure check of compressed loop images. */
import type { Checker } from '../../block/capabilities.ts';
import { type ClusterCounts, StructureCheck, TrialDecoder } from '../../block/kit/structureCheck.ts';
import type { Storage } from '../../storage/storage.ts';
import { type Header, TABLE_AT } from './header.ts';

/** What the check needs of an open image. */
export interface CloopParts {
  readonly file: Storage;
  readonly header: Header;
  /** Where the compressed block of that index starts; that of the index behind the last block is its end. */
  readonly offset: (index: number) => Promise<number>;
  /** Decodes blocks; throws kind `io` if one is damaged. */
  readonly decode: (indexes: readonly number[]) => Promise<unknown>;
}

/** The checker of an image: blocks lie in the file, one behind the other, and hold what they should. */
export function deepCheckerOf({ file, header, offset, decode }: CloopParts): Checker {
  return {
    deepOnly: true,
    repairs: false,
    async check(_, report) {
      const { block, blocks } = header;
      const check = new StructureCheck(report, file.size());
      check.claim('the header', 0, TABLE_AT);
      // Behind a table that the file does not have as a whole no block can be found.
      if (!check.claim('the table of offsets', TABLE_AT, (blocks + 1) * 8)) return check.finish(undefined);
      const trial = new TrialDecoder({
        decode,
        damaged: (index: number) => check.damage(`block ${index} cannot be decompressed to its size`),
      });
      for (let index = 0; index < blocks; index++) {
        const start = await offset(index);
        const length = (await offset(index + 1)) - start;
        if (check.claim('a block', start, length, `block ${index}`)) await trial.add(index, block);
      }
      await trial.finish();
      const clusters: ClusterCounts = { total: blocks, allocated: blocks, fragmented: 0, compressed: blocks };
      return check.finish(undefined, clusters);
    },
  };
}
