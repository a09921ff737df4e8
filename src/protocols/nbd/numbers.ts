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

/** Transmission flags of an export. */
export const Flag = {
  hasFlags: 0x1,
  readOnly: 0x2,
  flush: 0x4,
  fua: 0x8,
  trim: 0x20,
  writeZeroes: 0x40,
  multiConn: 0x100,
} as const;

/** Request types. */
export const Command = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6, blockStatus: 7 } as const;

/** Command flags. */
export const CommandFlag = { fua: 0x1, noHole: 0x2, payloadLength: 0x20 } as const;

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

/** The reply `NBD_REP_ERR_UNSUP`. */
export const UNSUPPORTED = 0x80000001;

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
