/** Options of the vmdk driver. */

/** Options for opening: none besides those of the extents. */
export const openOptions = {} as const;

/** Options for `create -o`, in the order in which the real tool repeats them. */
export const createOptions = {
  size: { kind: 'size', help: 'Size of the virtual disk' },
  adapter_type: {
    kind: 'string',
    help: 'Disk adapter recorded for the guest: ide (default), lsilogic, buslogic, legacyESX',
  },
  backing_file: { kind: 'string', help: 'Image that holds the content of everything not written here' },
  backing_fmt: { kind: 'string', help: "Format of the backing image; only 'vmdk' is possible" },
  compat6: { kind: 'bool', help: 'Record virtual hardware version 6', default: false },
  hwversion: { kind: 'string', help: 'Virtual hardware version to record', default: 'undefined' },
  toolsversion: { kind: 'string', help: 'Version of the VMware guest tools to record' },
  subformat: {
    kind: 'string',
    help: 'Layout: monolithicSparse (default), monolithicFlat, twoGbMaxExtentSparse, twoGbMaxExtentFlat, streamOptimized',
  },
  zeroed_grain: { kind: 'bool', help: 'Record zeroes in the tables instead of storing them' },
} as const;
