/** Requests whose bytes are not sent: flushing, discarding, zeroing, reading ahead. */
import { unsupported } from '../../../base/error.ts';
import { Command, CommandFlag } from '../numbers.ts';
import type { Offered } from './offered.ts';
import type { Asked } from './replies.ts';

/** Bytes that are read at a time to have them in memory. */
const AHEAD = 262144;

/** Bytes of memory that a request takes. */
export function memoryFor({ command, length }: Asked): number {
  return command === Command.cache ? Math.min(AHEAD, length) : 0;
}

/** Does what was asked for. @param memory as {@link memoryFor} says. */
export async function doWithout(offered: Offered, asked: Asked, memory: Uint8Array): Promise<void> {
  const { node } = offered.export;
  const { command, flags, offset, length } = asked;
  switch (command) {
    case Command.flush:
      return node.flush();
    case Command.cache:
      for (let at = 0; at < length; at += memory.length) {
        await node.read(offset + at, memory.subarray(0, Math.min(memory.length, length - at)));
      }
      return;
    case Command.trim:
      await node.discard(offset, length);
      break;
    case Command.writeZeroes:
      if ((flags & CommandFlag.fastZero) !== 0 && !node.recordsZeroes) {
        throw unsupported('zeroes are not written any faster than other bytes');
      }
      await node.writeZeroes(offset, length, { unmap: (flags & CommandFlag.noHole) === 0 });
      break;
  }
  offered.changed();
  if ((flags & CommandFlag.fua) !== 0) await node.flush();
}
