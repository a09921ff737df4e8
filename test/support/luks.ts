/** Encrypted images over any storage, for tests: quick key derivation, secrets in memory. */
import type { CreateContext, FormatDriver, OpenContext } from '../../src/block/format.ts';
import type { ImageNode } from '../../src/block/node/node.ts';
import { nodeOf } from './drivers.ts';
import type { Services } from '../../src/block/services.ts';
import { nodeServices } from '../../src/host/node/host.ts';
import { MapSecretStore } from '../../src/host/shared/secrets.ts';
import type { AnyOptionValues } from '../../src/options/table.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { quickCrypto } from '../unit/crypto/luks/fixture.ts';
import { defaultsOf } from '../../src/options/coerce.ts';

const secrets = new MapSecretStore();
secrets.set('a', 'one');
secrets.set('b', 'two');

/** Services that know the secrets `a` (one) and `b` (two) and calibrate at once. */
export function encryptingServices(): Services {
  return { ...nodeServices({ secrets }), crypto: quickCrypto() };
}

/** How {@link openEncrypted} opens. */
export interface EncryptedChoice {
  readonly options?: AnyOptionValues;
  readonly readOnly?: boolean;
  readonly intent?: OpenContext['intent'];
  readonly keyless?: boolean;
  /** The header's storage, where it is one of its own. */
  readonly header?: Storage;
}

/** Opens the image in `file`. Closing the node leaves `file` open. */
export async function openEncrypted(
  format: FormatDriver,
  file: Storage,
  choice: EncryptedChoice = {},
): Promise<ImageNode> {
  const readOnly = choice.readOnly ?? false;
  const driver = await format.open({
    file,
    filename: 'secret',
    readOnly,
    intent: choice.intent ?? 'io',
    keyless: choice.keyless ?? choice.intent === 'info',
    options: choice.options ?? {},
    services: encryptingServices(),
    openChild: async () => choice.header,
    leaveChild: () => undefined,
    warn: () => undefined,
    notice: () => undefined,
  });
  return nodeOf({ name: 'secret', format: format.name, driver, readOnly });
}

/** Creates an image in `file`. */
export async function createEncrypted(
  format: FormatDriver,
  file: Storage,
  options: AnyOptionValues,
  protocolOptions: AnyOptionValues = {},
): Promise<void> {
  const context = { file, filename: 'secret', services: encryptingServices(), protocolOptions, warn: () => undefined };
  await format.create?.(context as unknown as CreateContext, {
    ...defaultsOf(format.createOptions ?? {}),
    ...options,
  });
}
