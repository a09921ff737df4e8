/** Copying without coding: the processor has little to do. */
import { convert } from './convert.mjs';

/** @typedef {import('../types.ts').Row} Row */

/** @type {import('../types.ts').Goal} */
const asFast = { wall: [1.1, 0.9] };
/** @type {import('../types.ts').Goal} */
const other = { wall: [1, 0.9] };

/** The goals of the rest: no slower than the real program. */
const rest = { wall: /** @type {const} */ ([1, 1]) };

/** @type {readonly Row[]} */
export const copy = [
  convert('disk.raw', 'out.raw', { goal: asFast, quick: true }),
  convert('disk.raw', 'out.qcow2', { goal: asFast, quick: true }),
  convert('disk.qcow2', 'out.raw', { goal: asFast, quick: true }),
  convert('disk.qcow2', 'out.qcow2', { goal: asFast, quick: true }),
  convert('overlay.qcow2', 'out.qcow2', { name: 'flatten a chain of 2', goal: asFast, quick: true }),
  convert('disk.raw', 'out.vdi', { goal: other }),
  convert('disk.raw', 'out.vhdx', { goal: other }),
  convert('disk.raw', 'out.vpc', { goal: other }),
  convert('disk.vhdx', 'out.qcow2', { goal: other }),
  convert('disk.raw', 'out.vmdk', { goal: { wall: [0.35, 0.35] } }),
];

const formats = ['vmdk', 'vdi', 'vhdx', 'vpc', 'parallels', 'qed', 'qcow'].flatMap((format) => {
  const measured = copy.some(({ name }) => name === `raw -> ${format}`);
  const back = convert(`disk.${format}`, 'out.raw', { goal: rest });
  return measured ? [back] : [convert('disk.raw', `out.${format}`, { goal: rest }), back];
});

const pairs = [
  ['vmdk', 'qcow2'],
  ['qcow2', 'vhdx'],
  ['vhdx', 'vdi'],
  ['vdi', 'parallels'],
  ['parallels', 'qed'],
  ['vpc', 'vmdk'],
].map(([from, to]) => convert(`disk.${from}`, `out.${to}`, { goal: rest }));

const preallocated = ['metadata', 'falloc', 'full'].map((mode) =>
  convert('disk.raw', 'out.qcow2', {
    name: `preallocation=${mode}`,
    options: ['-o', `preallocation=${mode}`],
    goal: rest,
  }),
);

/**
 * To and from every other format that both programs write, between formats, and into what is allocated before.
 * @type {readonly Row[]}
 */
export const otherFormats = [...formats, ...pairs, ...preallocated];

/**
 * What is out of the ordinary.
 * @type {readonly Row[]}
 */
export const shapes = [
  convert('times-8.raw', 'out.qcow2', { name: '8 times the size, raw -> qcow2', goal: asFast }),
  convert('noise.raw', 'out.qcow2', { name: 'incompressible, raw -> qcow2', goal: asFast }),
  convert('noise.raw', 'out.qcow2', { name: 'incompressible, compress zlib', options: ['-c'], goal: rest }),
  convert('scattered.raw', 'out.qcow2', { name: 'almost empty, raw -> qcow2', goal: rest, quick: true }),
  convert('scattered.qcow2', 'out.raw', { name: 'almost empty, qcow2 -> raw', goal: rest }),
  convert('part.raw', 'out.qcow2', { name: 'to 512-byte clusters', options: ['-o', 'cluster_size=512'], goal: rest }),
  convert('bytes512.qcow2', 'out.raw', { name: 'from 512-byte clusters', goal: rest }),
  convert('disk.raw', 'out.qcow2', {
    name: 'to extended L2',
    options: ['-o', 'extended_l2=on,cluster_size=128k'],
    goal: rest,
  }),
  convert('extended.qcow2', 'out.raw', { name: 'from extended L2', goal: rest }),
  convert('layer-19.qcow2', 'out.qcow2', { name: 'flatten a chain of 20', goal: asFast }),
  {
    name: 'dd',
    argv: ['dd', '-f', 'raw', '-O', 'qcow2', 'bs=2M', 'if=disk.raw', 'of=out.qcow2'],
    needs: ['disk.raw'],
    outputs: ['out.qcow2'],
    verify: [
      ['compare', '-f', 'raw', '-F', 'qcow2', 'disk.raw', 'out.qcow2'],
      ['check', '-f', 'qcow2', 'out.qcow2'],
    ],
    goal: rest,
  },
];

/**
 * File systems that share extents: copies of data that stay as they are take no time.
 * @type {readonly Row[]}
 */
export const reflinks = /** @type {const} */ (['xfs', 'btrfs']).flatMap((on) =>
  [
    ['disk.raw', 'out.raw'],
    ['disk.raw', 'out.qcow2'],
    ['disk.qcow2', 'out.raw'],
  ].map(([from, to]) => {
    const row = convert(from, to, { on, goal: { milliseconds: 150 } });
    return { ...row, name: `${on}: ${row.name}` };
  }),
);
