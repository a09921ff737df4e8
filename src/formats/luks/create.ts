/** New LUKS volumes, and their size. */
import { asBlockError, BlockError, invalidArgument } from '../../base/error.ts';
import { MAX_SIZE } from '../../base/offset.ts';
import type { CreateContext, MeasureContext, Measurement } from '../../block/format.ts';
import { newPayloadOffset } from '../../crypto/luks/header.ts';
import { iterTimeOf, luksOptionsOf } from '../../crypto/luks/optionValues.ts';
import { checkLuks, createLuks, luksParameters } from '../../crypto/luks/volume.ts';
import type { Preallocation, Storage } from '../../storage/storage.ts';
import { luksIo, passphraseOf } from './header.ts';
import type { CreateOptions } from './options.ts';

/** Writes an empty volume, or only its header, into `context.file`. */
export async function create(context: CreateContext, options: CreateOptions): Promise<void> {
  const { file, services } = context;
  const preallocation = preallocationOf(context);
  const parameters = luksParameters(luksOptionsOf(options));
  const passphrase = await passphraseOf(services, options);
  const detached = options['detached-header'] === true;
  const iterTime = iterTimeOf(options);
  await checkLuks(services.crypto, parameters, iterTime);
  const total = newPayloadOffset(parameters.spec) + (detached ? 0 : (options.size ?? 0));
  await reserve(file, total, preallocation);
  await createLuks(services.crypto, luksIo(file), {
    ...parameters,
    passphrase,
    detached,
    ...(iterTime === undefined ? {} : { iterTime }),
  });
}

function preallocationOf({ protocolOptions }: CreateContext): Preallocation {
  const mode = protocolOptions?.['preallocation'] ?? 'off';
  switch (mode) {
    case 'off':
    case 'falloc':
    case 'full':
      return mode;
    case 'metadata':
      // A volume has no metadata that grows.
      return 'off';
    default:
      throw invalidArgument(`invalid parameter value: ${String(mode)}`);
  }
}

/** Gives the file its size. Zeroes in it are no zeroes of the guest, so what is there need not be cleared. */
async function reserve(file: Storage, size: number, preallocation: Preallocation): Promise<void> {
  try {
    if (size > MAX_SIZE) throw new BlockError('too-large', 'File too large');
    await file.truncate(size, preallocation);
  } catch (thrown) {
    const error = asBlockError(thrown);
    if (error.code !== 'EFBIG') throw error;
    // With a code that the caller does not take for a limit of the format.
    throw invalidArgument('The requested file size is too large', { cause: error });
  }
}

/** File sizes of a new volume in bytes: there is no such thing as an unallocated sector. */
export async function measure(context: MeasureContext, options: CreateOptions): Promise<Measurement> {
  const { services } = context;
  if (options['detached-header'] !== undefined) {
    throw invalidArgument("Parameter 'detached-header' is unexpected");
  }
  const parameters = luksParameters(luksOptionsOf(options));
  await passphraseOf(services, options);
  await checkLuks(services.crypto, parameters, iterTimeOf(options));
  const total = newPayloadOffset(parameters.spec) + (options.size ?? context.virtualSize);
  return { required: total, fullyAllocated: total };
}
