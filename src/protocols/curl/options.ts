/** Options of the protocols that the real tool has from libcurl. */
import type { OptionValues } from '../../options/table.ts';

/** Runtime options. As in the real tool all drivers take all of them, whether they mean something there or not. */
export const openOptions = {
  url: { kind: 'string', help: 'Address of the file; it begins with the name of the driver and ://' },
  readahead: { kind: 'size', help: 'Bytes that are read ahead, a multiple of 512 (default: as many as it takes)' },
  sslverify: { kind: 'bool', help: "https, ftps: whether the server's certificate has to be trusted (default: on)" },
  timeout: { kind: 'number', help: 'Seconds after which a silent server counts as gone; 0: never (default: 5)' },
  cookie: { kind: 'string', help: 'http, https: cookies to send, name=value; name=value' },
  'cookie-secret': { kind: 'string', help: 'http, https: ID of the secret that has them' },
  'force-range': { kind: 'bool', help: 'http, https: ask with GET only; nothing else is done here if it serves' },
  username: { kind: 'string', help: 'Who one is to the server' },
  'password-secret': { kind: 'string', help: 'ID of the secret that has the password' },
  'proxy-username': { kind: 'string', help: 'Who one is to the proxy' },
  'proxy-password-secret': { kind: 'string', help: 'ID of the secret that has the password for the proxy' },
} as const;

/** Values of {@link openOptions}. */
export type OpenOptions = OptionValues<typeof openOptions>;
