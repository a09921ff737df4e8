/** Names of machines and of services as numbers. */
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { BlockError } from '../../base/error.ts';
import { addressText, type SocketAddress } from '../../block/net.ts';

type InternetAddress = SocketAddress & { readonly type: 'inet' };

/** The C library's words for what can be wrong with a name. */
const REASONS: Readonly<Record<string, string>> = {
  EAI_AGAIN: 'Temporary failure in name resolution',
  EAI_FAIL: 'Non-recoverable failure in name resolution',
  EAI_MEMORY: 'Memory allocation failure',
};

function unresolved(address: InternetAddress, reason: string, cause?: unknown): BlockError {
  return new BlockError('not-found', `address resolution failed for ${addressText(address)}: ${reason}`, { cause });
}

/** The numbers of a machine, in the order in which they are to be tried. */
export async function hostsOf(address: InternetAddress): Promise<readonly string[]> {
  const { host, families } = address;
  if (host === '') throw unresolved(address, 'Name or service not known');
  try {
    const found = await lookup(host, {
      all: true,
      verbatim: true,
      family: families === undefined ? 0 : families === 'ipv4' ? 4 : 6,
    });
    return found.map((entry) => entry.address);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? '';
    throw unresolved(address, REASONS[code] ?? 'Name or service not known', thrown);
  }
}

/** The number of a port. */
export async function portOf(address: InternetAddress): Promise<number> {
  const { port } = address;
  // The C library takes the lower half of what is too large, and nothing for 0.
  if (/^\d*$/.test(port)) return Number(BigInt(port) & 0xffffn);
  const services = await readFile('/etc/services', 'latin1').catch(() => '');
  for (const line of services.split('\n')) {
    const [name, number, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (number?.endsWith('/tcp') && (name === port || aliases.includes(port))) return Number.parseInt(number, 10);
  }
  throw unresolved(address, 'Servname not supported for ai_socktype');
}
