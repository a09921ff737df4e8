/**
 * The numbers of the protocol, and what messages call them. The specification is doc/proto.md of the NBD project; section
 * names in comments are those of that document.
 */

/** Option types. */
export const Option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

/** Option reply types. Those of errors have bit 31. */
export const Reply = { ack: 1, server: 2, info: 3, metaContext: 4 } as const;

/** Information of `NBD_REP_INFO`. */
export const Info = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** Handshake flags, and those that the client answers them with. */
export const Handshake = { fixedNewstyle: 1, noZeroes: 2 } as const;

/** What a server begins with. */
export const NBD_MAGIC = 0x4e42444d41474943n;
/** What options begin with, and newer servers go on with. */
export const OPTION_MAGIC = 0x49484156454f5054n;
/** What replies to options begin with. */
export const REPLY_MAGIC = 0x3e889045565a9n;

/** What requests and replies begin with. */
export const Magic = {
  request: 0x25609513,
  extendedRequest: 0x21e41c71,
  simpleReply: 0x67446698,
  structuredReply: 0x668e33ef,
  extendedReply: 0x6e8a278c,
} as const;

/** The last chunk of a reply has it. */
export const CHUNK_DONE = 1;

/** How requests and replies look. */
export type Form = 'simple' | 'structured' | 'extended';

/** Transmission flags of an export. */
export const Flag = {
  hasFlags: 0x1,
  readOnly: 0x2,
  flush: 0x4,
  fua: 0x8,
  trim: 0x20,
  writeZeroes: 0x40,
  dontFragment: 0x80,
  multiConn: 0x100,
  cache: 0x400,
  fastZero: 0x800,
} as const;

/** Request types. */
export const Command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

/** Command flags. */
export const CommandFlag = {
  fua: 0x1,
  noHole: 0x2,
  dontFragment: 0x4,
  oneExtent: 0x8,
  fastZero: 0x10,
  payloadLength: 0x20,
} as const;

/** Types of the chunks of structured replies. Those of errors have bit 15. */
export const Chunk = {
  none: 0,
  data: 1,
  hole: 2,
  blockStatus: 5,
  blockStatusExtended: 6,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

/** Bits of `base:allocation`. */
export const State = { hole: 0x1, zero: 0x2 } as const;

/** The bit of a dirty bitmap. */
export const DIRTY = 0x1;

/** Contexts of block states; what stands behind the last is the name of a bitmap. */
export const Context = {
  allocation: 'base:allocation',
  depth: 'qemu:allocation-depth',
  bitmap: 'qemu:dirty-bitmap:',
} as const;

/** Largest export name (Conventions). */
export const MAX_NAME = 4096;

/** Largest transfer where the server says nothing else (Block size constraints). */
export const MAX_TRANSFER = 33554432;

const OPTIONS: Readonly<Record<number, string>> = {
  [Option.exportName]: 'export name',
  [Option.abort]: 'abort',
  [Option.list]: 'list',
  [Option.startTls]: 'starttls',
  [Option.info]: 'info',
  [Option.go]: 'go',
  [Option.structuredReply]: 'structured reply',
  [Option.listMetaContext]: 'list meta context',
  [Option.setMetaContext]: 'set meta context',
  [Option.extendedHeaders]: 'extended headers',
};

const REPLIES: Readonly<Record<number, string>> = {
  [Reply.ack]: 'ack',
  [Reply.server]: 'server',
  [Reply.info]: 'info',
  [Reply.metaContext]: 'meta context',
};

/** An option as messages have it: `7 (go)`. */
export function optionText(option: number): string {
  return `${option} (${OPTIONS[option] ?? '<unknown>'})`;
}

/** The name of an option alone. */
export function optionName(option: number): string {
  return OPTIONS[option] ?? '<unknown>';
}

/** The kinds of errors that a server can answer an option with, by number without bit 31. */
const REFUSALS: Readonly<
  Record<number, { readonly name: string; readonly text: (option: string) => string; readonly hint?: string }>
> = {
  1: { name: 'unsupported', text: (option) => `Unsupported option type ${option}` },
  2: { name: 'denied by policy', text: (option) => `Denied by server for option ${option}` },
  3: { name: 'invalid', text: (option) => `Invalid parameters for option ${option}` },
  4: { name: 'platform lacks support', text: (option) => `Server lacks support for option ${option}` },
  5: {
    name: 'TLS required',
    text: (option) => `TLS negotiation required before option ${option}`,
    hint: 'Did you forget a valid tls-creds?',
  },
  6: { name: 'export unknown', text: () => 'Requested export not available' },
  7: { name: 'server shutting down', text: (option) => `Server shutting down before option ${option}` },
  8: { name: 'block size required', text: (option) => `Server requires INFO_BLOCK_SIZE for option ${option}` },
  9: { name: 'option payload too big', text: unknownRefusal },
  10: { name: 'extended headers required', text: unknownRefusal },
};

function unknownRefusal(option: string): string {
  return `Unknown error code when asking for option ${option}`;
}

/** Replies that are errors. */
export const Refusal = {
  unsupported: 0x80000001,
  policy: 0x80000002,
  invalid: 0x80000003,
  tlsRequired: 0x80000005,
  unknown: 0x80000006,
  shutdown: 0x80000007,
  tooBig: 0x80000009,
  extendedRequired: 0x8000000a,
} as const;

/** True for replies that are errors. */
export function isRefusal(reply: number): boolean {
  return reply >= 0x80000000;
}

/** A reply as messages have it: `3 (info)`. */
export function replyText(reply: number): string {
  const name = isRefusal(reply) ? REFUSALS[reply - 0x80000000]?.name : REPLIES[reply];
  return `${reply} (${name ?? '<unknown>'})`;
}

/** What to say of a refused option, and the advice below it. */
export function refusalText(reply: number, option: number): { readonly message: string; readonly hint?: string } {
  const refusal = REFUSALS[reply - 0x80000000];
  const hint = refusal?.hint;
  const message = (refusal?.text ?? unknownRefusal)(optionText(option));
  return { message, ...(hint === undefined ? {} : { hint }) };
}

/** Errors of requests by number (Error values); everything else counts as `EINVAL`. */
export const ERRORS: Readonly<Record<number, string>> = {
  1: 'EPERM',
  5: 'EIO',
  12: 'ENOMEM',
  22: 'EINVAL',
  28: 'ENOSPC',
  75: 'EOVERFLOW',
  95: 'ENOTSUP',
  108: 'ESHUTDOWN',
};
