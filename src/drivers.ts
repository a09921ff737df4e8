/** All drivers, in QEMU's order of probing. The one file that knows them all. */
import { DriverRegistry, type FilterEntry, type FormatEntry, type ProtocolEntry } from './block/graph/registry.ts';
import { isTarFile, isZipFile } from './filters/archive/probe.ts';
import { isBzip2File, isGzipFile, isXzFile, isZstdFile } from './filters/compressed/probe.ts';
import { probe as probeBochs } from './formats/bochs/probe.ts';
import { probe as probeCloop } from './formats/cloop/probe.ts';
import { hasTrailer, probe as probeDmg } from './formats/dmg/probe.ts';
import { probe as probeLuks } from './formats/luks/probe.ts';
import { probe as probeParallels } from './formats/parallels/probe.ts';
import { probe as probeQcow } from './formats/qcow/probe.ts';
import { probe as probeQcow2 } from './formats/qcow2/probe.ts';
import { probe as probeQed } from './formats/qed/probe.ts';
import { probe as probeVdi } from './formats/vdi/probe.ts';
import { probe as probeVhdx } from './formats/vhdx/probe.ts';
import { probe as probeVmdk } from './formats/vmdk/probe.ts';
import { hasFooterCookie, probe as probeVpc } from './formats/vpc/probe.ts';

const FORMATS: readonly FormatEntry[] = [
  { name: 'bochs', probe: probeBochs, load: async () => (await import('./formats/bochs/driver.ts')).bochs },
  { name: 'cloop', probe: probeCloop, load: async () => (await import('./formats/cloop/driver.ts')).cloop },
  {
    name: 'dmg',
    probe: probeDmg,
    isTail: hasTrailer,
    load: async () => (await import('./formats/dmg/driver.ts')).dmg,
    inspector: async () => (await import('./formats/dmg/inspector.ts')).inspect,
  },
  {
    name: 'luks',
    probe: probeLuks,
    load: async () => (await import('./formats/luks/driver.ts')).luks,
    inspector: async () => (await import('./formats/luks/inspector.ts')).inspect,
  },
  {
    name: 'parallels',
    probe: probeParallels,
    load: async () => (await import('./formats/parallels/driver.ts')).parallels,
  },
  {
    name: 'qcow',
    probe: probeQcow,
    load: async () => (await import('./formats/qcow/driver.ts')).qcow,
    inspector: async () => (await import('./formats/qcow/inspector.ts')).inspect,
  },
  {
    name: 'qcow2',
    probe: probeQcow2,
    load: async () => (await import('./formats/qcow2/driver.ts')).qcow2,
    inspector: async () => (await import('./formats/qcow2/inspector.ts')).inspect,
  },
  {
    name: 'qed',
    probe: probeQed,
    load: async () => (await import('./formats/qed/driver.ts')).qed,
    inspector: async () => (await import('./formats/qed/inspector.ts')).inspect,
  },
  {
    name: 'vdi',
    probe: probeVdi,
    load: async () => (await import('./formats/vdi/driver.ts')).vdi,
    inspector: async () => (await import('./formats/vdi/inspector.ts')).inspect,
  },
  {
    name: 'vhdx',
    probe: probeVhdx,
    load: async () => (await import('./formats/vhdx/driver.ts')).vhdx,
    inspector: async () => (await import('./formats/vhdx/inspector.ts')).inspect,
  },
  {
    name: 'vmdk',
    probe: probeVmdk,
    load: async () => (await import('./formats/vmdk/driver.ts')).vmdk,
    inspector: async () => (await import('./formats/vmdk/inspector.ts')).inspect,
  },
  {
    name: 'vpc',
    probe: probeVpc,
    isTail: hasFooterCookie,
    load: async () => (await import('./formats/vpc/driver.ts')).vpc,
    inspector: async () => (await import('./formats/vpc/inspector.ts')).inspect,
  },
  { name: 'raw', load: async () => (await import('./formats/raw/driver.ts')).raw },
];

const file = () => import('./protocols/file/driver.ts');
const curl = () => import('./protocols/curl/driver.ts');
const nothing = () => import('./protocols/null/driver.ts');

const PROTOCOLS: readonly ProtocolEntry[] = [
  { name: 'file', prefixes: ['file'], load: async () => (await file()).fileDriver },
  { name: 'host_device', prefixes: ['host_device'], load: async () => (await file()).hostDeviceDriver },
  { name: 'host_cdrom', prefixes: ['host_cdrom'], load: async () => (await file()).hostCdromDriver },
  { name: 'null-co', prefixes: ['null-co'], load: async () => (await nothing()).nullCoDriver },
  { name: 'vvfat', prefixes: ['fat'], load: async () => (await import('./protocols/vvfat/driver.ts')).vvfatDriver },
  {
    name: 'nbd',
    prefixes: ['nbd', 'nbd+tcp', 'nbd+unix'],
    load: async () => (await import('./protocols/nbd/driver.ts')).nbdDriver,
    server: async () => (await import('./protocols/nbd/server/server.ts')).nbdServer,
  },
  { name: 'ssh', prefixes: ['ssh'], load: async () => (await import('./protocols/ssh/driver.ts')).sshDriver },
  { name: 'stdio', prefixes: [], load: async () => (await import('./protocols/stdio/driver.ts')).stdioDriver },
  { name: 'http', prefixes: ['http'], load: async () => (await curl()).httpDriver },
  { name: 'https', prefixes: ['https'], load: async () => (await curl()).httpsDriver },
  { name: 'ftp', prefixes: ['ftp'], load: async () => (await curl()).ftpDriver },
  { name: 'ftps', prefixes: ['ftps'], load: async () => (await curl()).ftpsDriver },
  { name: 'null-aio', prefixes: ['null-aio'], load: async () => (await nothing()).nullAioDriver },
];

const archived = () => import('./filters/archive/driver.ts');
const compressed = () => import('./filters/compressed/driver.ts');

const FILTERS: readonly FilterEntry[] = [
  { name: 'blkdebug', load: async () => (await import('./filters/blkdebug/driver.ts')).blkdebug },
  { name: 'blklogwrites', load: async () => (await import('./filters/blklogwrites/driver.ts')).blklogwrites },
  { name: 'blkverify', load: async () => (await import('./filters/blkverify/driver.ts')).blkverify },
  { name: 'compress', load: async () => (await import('./filters/compress/driver.ts')).compress },
  {
    name: 'copy-before-write',
    load: async () => (await import('./filters/copy-before-write/driver.ts')).copyBeforeWrite,
  },
  { name: 'copy-on-read', load: async () => (await import('./filters/copy-on-read/driver.ts')).copyOnRead },
  { name: 'preallocate', load: async () => (await import('./filters/preallocate/driver.ts')).preallocate },
  { name: 'quorum', load: async () => (await import('./filters/quorum/driver.ts')).quorum },
  { name: 'snapshot-access', load: async () => (await import('./filters/snapshot-access/driver.ts')).snapshotAccess },
  { name: 'throttle', load: async () => (await import('./filters/throttle/driver.ts')).throttle },
  { name: 'gzip', contains: isGzipFile, load: async () => (await compressed()).gzip },
  { name: 'xz', contains: isXzFile, load: async () => (await compressed()).xz },
  { name: 'zstd', contains: isZstdFile, load: async () => (await compressed()).zstd },
  { name: 'tar', contains: isTarFile, load: async () => (await archived()).tar },
  { name: 'zip', contains: isZipFile, load: async () => (await archived()).zip },
  { name: 'bzip2', contains: isBzip2File, load: async () => (await compressed()).bzip2 },
];

/** What the real tool can have and this build has not: what it would take, by the names of drivers. */
const ABSENT: readonly (readonly [what: string, ...names: string[]])[] = [
  ['a client of Ceph', 'rbd'],
  ['an initiator of iSCSI', 'iscsi', 'iser'],
  ['a client of NFS (a mounted file system is a file like any other)', 'nfs'],
  ['a client of GlusterFS', 'gluster'],
  ['direct access to NVMe devices (the device file of the kernel can be opened)', 'nvme', 'nvme-io_uring'],
  ['libblkio', 'io_uring', 'virtio-blk-vfio-pci', 'virtio-blk-vhost-user', 'virtio-blk-vhost-vdpa'],
];

/** The same, with a way that works: see docs/addresses.md. */
const hints = ABSENT.flatMap(([what, ...names]) =>
  names.map(
    (name) => [name, `It takes ${what}; have it exported by an NBD server, and open nbd://HOST/EXPORT`] as const,
  ),
);

/** The drivers of this build. */
export const drivers: DriverRegistry = new DriverRegistry(FORMATS, PROTOCOLS, FILTERS, new Map(hints));
