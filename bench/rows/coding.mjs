/** Compression and encryption: the processor has most to do. */
import { convert } from './convert.mjs';

const ZSTD = ['-c', '-o', 'compression_type=zstd'];
const STREAM = ['-o', 'subformat=streamOptimized'];
const KEY = 'key-secret=key,iter-time=10';

/** The goals of the rest: no slower than the real program. */
const rest = { wall: /** @type {const} */ ([1, 1]) };

/** @type {readonly import('../types.ts').Row[]} */
export const coding = [
  convert('disk.raw', 'out.qcow2', {
    name: 'compress zlib',
    options: ['-c'],
    goal: { wall: [0.27, 0.27], size: 1.02 },
    quick: true,
  }),
  convert('disk.raw', 'out.qcow2', { name: 'compress zstd', options: ZSTD, goal: { wall: [0.6, 0.6], size: 1.02 } }),
  convert('disk.raw', 'out.vmdk', {
    name: 'compress stream VMDK',
    options: STREAM,
    goal: { wall: [0.25, 0.25], size: 1.02 },
  }),
  convert('zlib.qcow2', 'out.raw', { name: 'decompress zlib', goal: { wall: [0.45, 0.45] }, quick: true }),
  convert('zstd.qcow2', 'out.raw', { name: 'decompress zstd', goal: { wall: [0.5, 0.45] } }),
  convert('stream.vmdk', 'out.raw', { name: 'decompress stream VMDK', goal: { wall: [0.5, 0.45] } }),
  convert('disk.raw', 'out.luks', { name: 'raw -> luks', options: ['-o', KEY], goal: { wall: [0.3, 0.3] } }),
  convert('disk.luks', 'out.raw', { name: 'luks -> raw', goal: rest }),
  convert('disk.raw', 'out.encrypted.qcow2', {
    name: 'raw -> encrypted qcow2',
    options: ['-o', `encrypt.format=luks,${KEY.replaceAll(/(^|,)/g, '$1encrypt.')}`],
    goal: rest,
  }),
  convert('disk.encrypted.qcow2', 'out.raw', { name: 'encrypted qcow2 -> raw', goal: rest }),
];
