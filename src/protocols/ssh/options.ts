/** Options of the `ssh` protocol. */
import type { OptionValues } from '../../options/table.ts';

/** Runtime options. They are looked at as a whole (`address.ts`). */
export const openOptions = {
  'server.host': { kind: 'string', help: 'Name or number of the machine, or what the configuration of ssh calls it' },
  'server.port': { kind: 'string', help: 'Port of the machine (default: what ssh is configured to use, or 22)' },
  'server.ipv4': { kind: 'string', help: 'Whether IPv4 addresses may be used' },
  'server.ipv6': { kind: 'string', help: 'Whether IPv6 addresses may be used' },
  'server.numeric': { kind: 'string', help: 'Whether host and port are numbers; has no effect here' },
  'server.to': { kind: 'string', help: 'Highest port to try; means something to servers only' },
  'server.keep-alive': { kind: 'string', help: 'Whether idle connections are probed; they always are here' },
  'server.keep-alive-count': { kind: 'string', help: 'Number of probes; has no effect here' },
  'server.keep-alive-idle': { kind: 'string', help: 'Seconds before the first probe; has no effect here' },
  'server.keep-alive-interval': { kind: 'string', help: 'Seconds between probes; has no effect here' },
  'server.mptcp': { kind: 'string', help: 'Whether several paths may be used; has no effect here' },
  host: { kind: 'string', help: 'Older: name or number of the machine' },
  port: { kind: 'string', help: 'Older: port of the machine' },
  path: {
    kind: 'string',
    help: 'Name of the file on the machine; without / in front it counts from where one logs in',
  },
  user: { kind: 'string', help: 'Name of the user there (default: what ssh is configured to use)' },
  'host-key-check.mode': { kind: 'string', help: 'How the key of the machine is checked (none, hash, known_hosts)' },
  'host-key-check.type': { kind: 'string', help: 'hash: what hash it is (md5, sha1, sha256)' },
  'host-key-check.hash': { kind: 'string', help: 'hash: the hash of the key, in hexadecimal digits' },
  host_key_check: { kind: 'string', help: 'Older: no, yes, md5:HASH, sha1:HASH, sha256:HASH' },
} as const;

/** Values of {@link openOptions}. */
export type OpenOptions = OptionValues<typeof openOptions>;

/** Options of `create -f ssh`. */
export const createOptions = {
  size: { kind: 'size', help: 'Virtual disk size' },
} as const;
