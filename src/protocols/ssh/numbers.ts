/** Numbers of SFTP version 3 (draft-ietf-secsh-filexfer-02), and of OpenSSH's extensions (its file `PROTOCOL`). */

/** Types of packets (section 3). */
export const Type = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  remove: 13,
  realpath: 16,
  stat: 17,
  rename: 18,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 200,
  extendedReply: 201,
} as const;

/** Codes of status replies (section 7). */
export const Status = {
  ok: 0,
  endOfFile: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  noConnection: 6,
  connectionLost: 7,
  unsupported: 8,
} as const;

/** How a file is opened (section 6.3). */
export const Open = { read: 1, write: 2, create: 8, truncate: 16, exclusive: 32 } as const;

/** What attributes there are (section 5). */
export const Attribute = { size: 1, owner: 2, permissions: 4, times: 8, extended: 0x80000000 } as const;

/** Extensions that are used where a server has them. */
export const Extension = {
  posixRename: 'posix-rename@openssh.com',
  fsync: 'fsync@openssh.com',
  limits: 'limits@openssh.com',
  fstatvfs: 'fstatvfs@openssh.com',
} as const;

/** Most bytes of a packet that is taken from a server, but for its length: OpenSSH's own limit. */
export const MAX_PACKET = 262144;

/** Bytes of data that every server takes, and gives, at once (section 3: packets of 34000 bytes). */
export const SAFE_DATA = 32768;
