/** File attributes that can be set only while a file is empty. */
import { MiB } from '../../base/offset.ts';
import { invalidArgument } from '../../base/error.ts';
import type { FileCreateOptions } from '../../storage/files.ts';
import type { Libc } from './native.ts';

/** Requests and flags of `linux/fs.h`. */
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_NOCOW_FL = 0x00800000;
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FS_XFLAG_EXTSIZE = 0x800;

/** Extents of this size keep image files on XFS from falling to pieces. */
const DEFAULT_EXTENT_SIZE = MiB;

/** Sets the attributes that `options` ask for. They are wishes: file systems without them are no reason to fail. */
export function applyCreateFlags(libc: Libc, fd: number, options: FileCreateOptions): void {
  if (options.nocow) {
    const flags = new Uint8Array(8);
    const view = new DataView(flags.buffer);
    if (libc.ioctl(fd, FS_IOC_GETFLAGS, flags) >= 0) {
      view.setInt32(0, view.getInt32(0, true) | FS_NOCOW_FL, true);
      libc.ioctl(fd, FS_IOC_SETFLAGS, flags);
    }
  }
  const hint = options.extentSizeHint ?? DEFAULT_EXTENT_SIZE;
  if (hint > 0xffffffff) {
    throw invalidArgument('Extent size hint is too large', { context: { access: 'create' } });
  }
  if (hint > 0) setExtentSize(libc, fd, hint);
}

/** `struct fsxattr`: flags at 0, extent size at 4, 28 bytes in all. */
function setExtentSize(libc: Libc, fd: number, size: number): void {
  const attributes = new Uint8Array(28);
  const view = new DataView(attributes.buffer);
  if (libc.ioctl(fd, FS_IOC_FSGETXATTR, attributes) < 0) return;
  view.setUint32(0, view.getUint32(0, true) | FS_XFLAG_EXTSIZE, true);
  view.setUint32(4, size, true);
  libc.ioctl(fd, FS_IOC_FSSETXATTR, attributes);
}
