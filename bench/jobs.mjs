/**
 * The measured jobs: command lines that both programs understand.
 * - `needs`: inputs by name (see `inputs.mjs`); - `copy`: inputs that the job changes, as [input, name of the copy];
 * - `remove`: files that it writes; - `accept`: exit codes other than 0.
 */
import { SECRET } from './inputs.mjs';

const convert = (from, name, out, ...options) => ({
  name,
  argv: ['convert', ...options, from, out],
  needs: [from],
  remove: [out],
});

/** Start-up, and the conversions that are made most. */
const common = [
  { name: 'info', argv: ['info', 'disk.qcow2'], needs: ['disk.qcow2'] },
  { name: 'create qcow2', argv: ['create', '-q', '-f', 'qcow2', 'out.qcow2', '10G'], remove: ['out.qcow2'] },
  convert('disk.raw', 'raw -> qcow2', 'out.qcow2', '-f', 'raw', '-O', 'qcow2'),
  convert('disk.qcow2', 'qcow2 -> raw', 'out.raw', '-f', 'qcow2', '-O', 'raw'),
  convert('disk.qcow2', 'qcow2 -> qcow2', 'out.qcow2', '-O', 'qcow2'),
  convert('disk.raw', 'compress zlib', 'out.qcow2', '-c', '-f', 'raw', '-O', 'qcow2'),
  convert('disk.raw', 'compress zstd', 'out.qcow2', '-c', '-f', 'raw', '-O', 'qcow2', '-o', 'compression_type=zstd'),
  convert('zlib.qcow2', 'decompress zlib', 'out.raw', '-O', 'raw'),
  convert('zstd.qcow2', 'decompress zstd', 'out.raw', '-O', 'raw'),
  { name: 'compare raw qcow2', argv: ['compare', 'disk.raw', 'disk.qcow2'], needs: ['disk.raw', 'disk.qcow2'] },
  { name: 'check qcow2', argv: ['check', 'disk.qcow2'], needs: ['disk.qcow2'] },
  { name: 'map qcow2', argv: ['map', '--output=json', 'disk.qcow2'], needs: ['disk.qcow2'] },
  convert('chain.qcow2', 'flatten a chain', 'out.qcow2', '-O', 'qcow2'),
];

const wideCopy = { needs: ['wide.qcow2'], copy: [['wide.qcow2', 'copy.qcow2']], remove: ['copy.qcow2'] };
const pairCopy = {
  needs: ['overlay.qcow2'],
  copy: [
    ['base.qcow2', 'base-copy.qcow2'],
    ['overlay.qcow2', 'overlay-copy.qcow2'],
  ],
  remove: ['base-copy.qcow2', 'overlay-copy.qcow2'],
};

/** Images with much metadata and little data. */
const wide = [
  { name: 'wide: check', argv: ['check', 'wide.qcow2'], needs: ['wide.qcow2'] },
  { name: 'wide: map', argv: ['map', '--output=json', 'wide.qcow2'], needs: ['wide.qcow2'] },
  { name: 'wide: snapshot -c', argv: ['snapshot', '-c', 'new', 'copy.qcow2'], ...wideCopy },
  { name: 'wide: snapshot -d', argv: ['snapshot', '-d', 'snapshot5', 'copy.qcow2'], ...wideCopy },
  {
    name: 'wide: rebase',
    argv: ['rebase', '-f', 'qcow2', '-F', 'qcow2', '-b', 'base-copy.qcow2', 'overlay-copy.qcow2'],
    ...pairCopy,
  },
  {
    // The overlay names the original, which stays as it is: -b takes the copy's place beforehand.
    name: 'wide: commit',
    argv: ['commit', '-q', '-f', 'qcow2', 'overlay-copy.qcow2'],
    ...pairCopy,
    adopt: ['overlay-copy.qcow2', 'base-copy.qcow2'],
  },
];

/** To and from every other format that both programs write. */
const formats = ['vmdk', 'vdi', 'vhdx', 'vpc', 'parallels', 'qed', 'qcow'].flatMap((format) => [
  convert('disk.raw', `raw -> ${format}`, `out.${format}`, '-f', 'raw', '-O', format),
  convert(`disk.${format}`, `${format} -> raw`, 'out.raw', '-f', format, '-O', 'raw'),
]);

/** Between formats, with what the target's file system keeps for it. */
const pairs = [
  ['vmdk', 'qcow2'],
  ['qcow2', 'vhdx'],
  ['vhdx', 'vdi'],
  ['vdi', 'parallels'],
  ['parallels', 'qed'],
  ['vpc', 'vmdk'],
].map(([from, to]) => convert(`disk.${from}`, `${from} -> ${to}`, `out.${to}`, '-f', from, '-O', to));

const preallocated = ['metadata', 'falloc', 'full'].map((mode) => {
  const options = ['-f', 'raw', '-O', 'qcow2', '-o', `preallocation=${mode}`];
  return convert('disk.raw', `preallocation ${mode}`, 'out.qcow2', ...options);
});

const STREAM = ['-O', 'vmdk', '-o', 'subformat=streamOptimized'];
const LUKS = ['-O', 'luks', '-o', 'key-secret=key,iter-time=10'];
const ENCRYPTED = ['-O', 'qcow2', '-o', 'encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10'];

/** Opens an encrypted input, which takes more than a file name. */
const decrypt = (from, name, options) => ({
  name,
  argv: ['convert', ...SECRET, '--image-opts', `${options},file.filename=${from}`, '-O', 'raw', 'out.raw'],
  needs: [from],
  remove: ['out.raw'],
});

/** Compression of VMDK, and encryption. */
const coded = [
  convert('disk.raw', 'compress vmdk', 'out.vmdk', '-f', 'raw', ...STREAM),
  convert('stream.vmdk', 'decompress vmdk', 'out.raw', '-O', 'raw'),
  convert('disk.raw', 'raw -> luks', 'out.luks', ...SECRET, '-f', 'raw', ...LUKS),
  decrypt('disk.luks', 'luks -> raw', 'driver=luks,key-secret=key'),
  convert('disk.raw', 'raw -> encrypted qcow2', 'out.qcow2', ...SECRET, '-f', 'raw', ...ENCRYPTED),
  decrypt('encrypted.qcow2', 'encrypted qcow2 -> raw', 'driver=qcow2,encrypt.key-secret=key'),
];

/** All jobs, in the order of the table. */
export const jobs = [...common, ...formats, ...pairs, ...preallocated, ...coded, ...wide];
