/** Options of the `nbd` protocol. */
import type { OptionValues } from '../../options/table.ts';

/** Runtime options. Those of `server` are looked at as a group, by the type of address (`address.ts`). */
export const openOptions = {
  path: { kind: 'string', help: 'Name of the Unix socket of the server' },
  host: { kind: 'string', help: 'Name or number of the machine of the server' },
  port: { kind: 'string', help: 'Port of the server (default: 10809)' },
  'server.type': { kind: 'string', help: 'Kind of address (inet, unix, fd)' },
  'server.path': { kind: 'string', help: 'unix: name of the socket' },
  'server.abstract': { kind: 'string', help: 'unix: whether the name is one of the abstract namespace' },
  'server.tight': { kind: 'string', help: 'unix: whether abstract names end where they end; they always do here' },
  'server.host': { kind: 'string', help: 'inet: name or number of the machine' },
  'server.port': { kind: 'string', help: 'inet: number or name of the port' },
  'server.ipv4': { kind: 'string', help: 'inet: whether IPv4 addresses may be used' },
  'server.ipv6': { kind: 'string', help: 'inet: whether IPv6 addresses may be used' },
  'server.numeric': { kind: 'string', help: 'inet: whether host and port are numbers; has no effect here' },
  'server.to': { kind: 'string', help: 'inet: highest port to try; means something to servers only' },
  'server.keep-alive': { kind: 'string', help: 'inet: whether idle connections are probed; they always are here' },
  'server.keep-alive-count': { kind: 'string', help: 'inet: number of probes; has no effect here' },
  'server.keep-alive-idle': { kind: 'string', help: 'inet: seconds before the first probe; has no effect here' },
  'server.keep-alive-interval': { kind: 'string', help: 'inet: seconds between probes; has no effect here' },
  'server.mptcp': { kind: 'string', help: 'inet: whether several paths may be used; has no effect here' },
  'server.str': { kind: 'string', help: 'fd: number of a socket that the process has' },
  'server.cid': { kind: 'string', help: 'vsock: number of the virtual machine' },
  export: { kind: 'string', help: 'Name of the export' },
  'tls-creds': { kind: 'string', help: 'ID of the TLS credentials for the connection' },
  'tls-hostname': { kind: 'string', help: 'Name that the certificate of the server has to be for' },
  'x-dirty-bitmap': { kind: 'string', help: 'Context whose block states are taken for those of base:allocation' },
  'reconnect-delay': { kind: 'number', help: 'Seconds during which a lost connection is tried again' },
  'open-timeout': { kind: 'number', help: 'Seconds during which the first connection is tried again' },
} as const;

/** Values of {@link openOptions}. */
export type OpenOptions = OptionValues<typeof openOptions>;

/** Options of `create -f nbd`. */
export const createOptions = {
  size: { kind: 'size', help: 'Virtual disk size' },
  preallocation: { kind: 'string', help: 'Preallocation mode (allowed values: off)' },
} as const;
