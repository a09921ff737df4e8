/** From the values of `-o` options to what the rest of this folder takes; `encrypt.` is already cut off the names. */
import type { MaybePromise } from '../../base/async.ts';
import { BlockError } from '../../base/error.ts';
import type { LuksAmendment } from './amend.ts';
import type { LuksOptions } from './volume.ts';

/** Values of options by name. */
export type LuksValues = Readonly<Record<string, string | number | boolean | undefined>>;

function text(values: LuksValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

function number(values: LuksValues, name: string): number | undefined {
  const value = values[name];
  return typeof value === 'number' ? value : undefined;
}

/** The options that describe a new volume, without those that are undefined. */
export function luksOptionsOf(values: LuksValues): LuksOptions {
  const named = {
    cipherAlg: text(values, 'cipher-alg'),
    cipherMode: text(values, 'cipher-mode'),
    ivgenAlg: text(values, 'ivgen-alg'),
    ivgenHashAlg: text(values, 'ivgen-hash-alg'),
    hashAlg: text(values, 'hash-alg'),
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

/** Milliseconds of `iter-time`, if given. Negative numbers are the real tool's very large ones. */
export function iterTimeOf(values: LuksValues): number | undefined {
  const given = number(values, 'iter-time');
  return given !== undefined && given < 0 ? given + 2 ** 64 : given;
}

/**
 * The amendment that options ask for.
 * @param lookUp gives the bytes of a secret by its id; called when the secret is needed.
 */
export function amendmentOf(
  values: LuksValues,
  force: boolean,
  lookUp: (id: string) => MaybePromise<Uint8Array>,
): LuksAmendment {
  const state = text(values, 'state');
  if (state === undefined) throw new BlockError('invalid-argument', "Parameter 'state' is missing");
  if (state !== 'active' && state !== 'inactive') {
    throw new BlockError('invalid-argument', `Parameter 'state' does not accept value '${state}'`);
  }
  const newSecret = text(values, 'new-secret');
  const oldSecret = text(values, 'old-secret');
  const keyslot = number(values, 'keyslot');
  const iterTime = iterTimeOf(values);
  return {
    state,
    force,
    ...(newSecret === undefined ? {} : { newSecret: () => lookUp(newSecret) }),
    ...(oldSecret === undefined ? {} : { oldSecret: () => lookUp(oldSecret) }),
    ...(keyslot === undefined ? {} : { keyslot }),
    ...(iterTime === undefined ? {} : { iterTime }),
  };
}
