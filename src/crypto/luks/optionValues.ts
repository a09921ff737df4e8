/** From the values of `-o` options to what the rest of this folder takes; `encrypt.` is already cut off the names. */
import type { MaybePromise } from '../../base/async.ts';
import { invalidArgument } from '../../base/error.ts';
import type { LuksAmendment } from './amend.ts';
import type { LuksOptions } from './volume.ts';

/** What `-o` options may say about a new volume. */
export interface LuksCreateValues {
  readonly 'cipher-alg'?: string | undefined;
  readonly 'cipher-mode'?: string | undefined;
  readonly 'ivgen-alg'?: string | undefined;
  readonly 'ivgen-hash-alg'?: string | undefined;
  readonly 'hash-alg'?: string | undefined;
  /** Milliseconds. */
  readonly 'iter-time'?: number | undefined;
}

/** What `-o` options may say about a change of key slots. */
export interface LuksAmendValues {
  readonly state?: string | undefined;
  readonly 'new-secret'?: string | undefined;
  readonly 'old-secret'?: string | undefined;
  readonly keyslot?: number | undefined;
  /** Milliseconds. */
  readonly 'iter-time'?: number | undefined;
}

/** The options that describe a new volume, without those that are undefined. */
export function luksOptionsOf(values: LuksCreateValues): LuksOptions {
  const named = {
    cipherAlg: values['cipher-alg'],
    cipherMode: values['cipher-mode'],
    ivgenAlg: values['ivgen-alg'],
    ivgenHashAlg: values['ivgen-hash-alg'],
    hashAlg: values['hash-alg'],
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

/** Milliseconds of `iter-time`, if given. Negative numbers are the real tool's very large ones. */
export function iterTimeOf(values: LuksCreateValues | LuksAmendValues): number | undefined {
  const given = values['iter-time'];
  return given !== undefined && given < 0 ? given + 2 ** 64 : given;
}

/**
 * The amendment that options ask for.
 * @param lookUp gives the bytes of a secret by its id; called when the secret is needed.
 */
export function amendmentOf(
  values: LuksAmendValues,
  force: boolean,
  lookUp: (id: string) => MaybePromise<Uint8Array>,
): LuksAmendment {
  const state = values.state;
  if (state === undefined) throw invalidArgument("Parameter 'state' is missing");
  if (state !== 'active' && state !== 'inactive') {
    throw invalidArgument(`Parameter 'state' does not accept value '${state}'`);
  }
  const newSecret = values['new-secret'];
  const oldSecret = values['old-secret'];
  const keyslot = values.keyslot;
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
