/** The `ssh` protocol: files of other machines, over the system's ssh and SFTP. */
import { BlockError } from '../../base/error.ts';
import { alignUp, MAX_DISK, SECTOR } from '../../base/offset.ts';
import type { ProtocolContext, ProtocolDriver } from '../../block/protocol.ts';
import type { OptionValues } from '../../options/table.ts';
import type { OptionTree } from '../../options/tree.ts';
import { type Address, addressOf, parseName, printName } from './address.ts';
import { type Lease, lease, settledOf, withSession } from './connections.ts';
import { identityOf, kindOf, MODE, named, sshNames } from './names.ts';
import { Open } from './numbers.ts';
import { createOptions, type OpenOptions, openOptions } from './options.ts';
import type { Settled } from './program.ts';
import * as sftp from './sftp.ts';
import { SshFile, SshStorage } from './storage.ts';

async function open(context: ProtocolContext, options: OpenOptions): Promise<SshFile> {
  const given: OptionTree = context.given ?? (options as OptionTree);
  const address = addressOf(given);
  // ssh says that meanwhile.
  const settling = settledOf(context.services, address.place);
  const taken = await lease(context.services, address.place);
  try {
    return await openWith(taken, address, context, { given, settling });
  } catch (error) {
    taken.release();
    throw error;
  }
}

async function openWith(
  taken: Lease,
  address: Address,
  context: ProtocolContext,
  { given, settling }: { readonly given: OptionTree; readonly settling: Promise<Settled> },
): Promise<SshFile> {
  const { session } = taken;
  const { place, path } = address;
  const { writable } = context;
  const handle = await named('open', path, () =>
    sftp.open(session, path, writable ? Open.read | Open.write : Open.read),
  );
  try {
    const [attributes, real, settled] = await Promise.all([
      named('read attributes of', path, () => sftp.fstat(session, handle)),
      sftp.realpath(session, path),
      settling,
    ]);
    const { size } = attributes;
    if (kindOf(attributes) === 'directory') {
      throw new BlockError('is-directory', `failed to open remote file '${path}': Is a directory`, {
        posix: { code: 'EISDIR', text: 'Is a directory' },
      });
    }
    if (size === undefined) throw new BlockError('io', 'the server does not tell the size of the file');
    if (size > MAX_DISK) throw new BlockError('too-large', 'Could not refresh total sector count: File too large');
    const driver = new SshStorage({ lease: taken, handle, size, host: place.host }, context);
    return new SshFile(driver, {
      name: printName(address, given, settled),
      readOnly: !writable,
      identity: identityOf(place, real),
    });
  } catch (error) {
    await sftp.close(session, handle).catch(() => undefined);
    throw error;
  }
}

/** Creates a file, or empties the one that is there; what has no data yet is a hole. */
async function create(
  { services }: ProtocolContext,
  name: string,
  options: OptionValues<typeof createOptions>,
): Promise<void> {
  const { place, path } = addressOf(parseName(name));
  await withSession(services, place, async (session) => {
    const flags = Open.read | Open.write | Open.create | Open.truncate;
    const handle = await named('open', path, () => sftp.open(session, path, flags, MODE));
    const size = alignUp(options.size ?? 0, SECTOR);
    try {
      if (size > 0) await named('resize', path, () => sftp.resize(session, handle, size));
    } finally {
      await sftp.close(session, handle);
    }
  });
}

/** The protocol. */
export const sshDriver: ProtocolDriver = {
  name: 'ssh',
  prefixes: ['ssh'],
  openOptions,
  createOptions,
  parseFilename: parseName,
  names: sshNames,
  open,
  create,
} satisfies ProtocolDriver<typeof openOptions, typeof createOptions>;
