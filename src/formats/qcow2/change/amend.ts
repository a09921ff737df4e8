/** Changing options of an existing image: `amend -o`. */
import { type BlockError, invalidArgument, withStrerror } from '../../../base/error.ts';
import type { Hint } from '../../../base/hint.ts';
import { isPowerOfTwo, log2 } from '../../../base/offset.ts';
import type { Amender } from '../../../block/capabilities.ts';
import { downgrade, upgrade } from './amendVersion.ts';
import { AmendWork } from './amendWork.ts';
import { changeRefcountWidth } from './amendRefcounts.ts';
import { amendEncryption, amendsEncryption, checkEncryption } from '../guest/crypt.ts';
import { flushImage } from '../flush.ts';
import { hasDataFile, isRawDataFile } from '../structure/header.ts';
import type { Qcow2State } from '../state.ts';
import { Autoclear, Compatible, Incompatible } from '../structure/layout.ts';
import { checkRefcountBits } from '../settings.ts';
import type { AmendOptions } from '../options.ts';

/** What an amendment is about, after everything that can be checked ahead was checked. */
interface Plan {
  readonly version: 2 | 3;
  readonly refcountBits: number;
  readonly lazyRefcounts: boolean | undefined;
  readonly dataFile: string | undefined;
  readonly rawData: boolean | undefined;
  readonly size: number | undefined;
}

type How = Parameters<Amender['amend']>[1];

function refuse(message: string, hint?: Hint): BlockError {
  return invalidArgument(message, hint === undefined ? {} : { hint });
}

/** The amender of an image. */
export function amenderOf(image: Qcow2State): Amender {
  return { amend: async (options, how) => carryOut(image, planOf(image, options), options, how) };
}

/** Everything is flushed between the steps, so that what is interrupted is the image as of some step. */
async function carryOut(image: Qcow2State, plan: Plan, options: AmendOptions, how: How): Promise<void> {
  const { header } = image;
  const work = new AmendWork(how.onProgress, [
    plan.version > header.version,
    plan.refcountBits !== image.refcounts.bits,
    plan.version < header.version,
  ]);
  await flushImage(image);
  if (plan.version > header.version) await work.do((told) => upgrade(image, told));
  if (plan.refcountBits !== image.refcounts.bits) {
    await work.do((told) => changeRefcountWidth(image, log2(plan.refcountBits), told));
  }
  await setDataFile(image, plan);
  if (amendsEncryption(options)) await amendEncryption(image, options, how.force);
  await withStrerror('Failed to update the image header', () => setLazyRefcounts(image, plan.lazyRefcounts));
  if (plan.size !== undefined) await how.resize(plan.size);
  if (plan.version < header.version) await work.do((told) => downgrade(image, told));
}

function planOf(image: Qcow2State, options: AmendOptions): Plan {
  const { header } = image;
  const { refcount_bits: bits, data_file: dataFile, data_file_raw: rawData, lazy_refcounts: lazy, size } = options;
  // Of several mistakes the one is named that the real tool finds first.
  if (amendsEncryption(options)) checkEncryption(image);
  const version = versionOf(options.compat, header.version);
  if (dataFile !== undefined && !hasDataFile(header)) {
    throw refuse('data-file can only be set for images that use an external data file');
  }
  if (rawData === true && !isRawDataFile(header)) throw refuse('data-file-raw cannot be set on existing images');
  if (bits !== undefined) checkWidth(bits);
  if (bits !== undefined && bits !== 16 && version < 3) {
    throw refuse(
      'Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)',
    );
  }
  checkBacking(image, options);
  if (lazy === true && version < 3) {
    throw refuse('Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)');
  }
  return { version, refcountBits: bits ?? image.refcounts.bits, lazyRefcounts: lazy, dataFile, rawData, size };
}

function versionOf(compat: string | undefined, present: 2 | 3): 2 | 3 {
  switch (compat) {
    case undefined:
      return present;
    case '0.10':
    case 'v2':
      return 2;
    case '1.1':
    case 'v3':
      return 3;
    default:
      throw refuse(`Unknown compatibility level ${compat}`);
  }
}

function checkWidth(bits: number): void {
  if (bits <= 0 || !isPowerOfTwo(bits)) {
    throw refuse('Refcount width must be a power of two and may not exceed 64 bits');
  }
  checkRefcountBits(bits);
}

/** The backing image can be named, but only as it is. */
function checkBacking({ header }: Qcow2State, options: AmendOptions): void {
  const { backing_file: file, backing_fmt: format } = options;
  if (file === undefined && format === undefined) return;
  const same = header.backingFile !== undefined && file === header.backingFile;
  if (same && (format ?? '') === (header.backingFormat ?? '')) return;
  throw refuse('Cannot amend the backing file', { about: 'rebase' });
}

async function setDataFile(image: Qcow2State, { dataFile, rawData }: Plan): Promise<void> {
  if (dataFile === undefined && rawData === undefined) return;
  await image.changeHeader((header) => {
    if (rawData === false) header.autoclear &= ~BigInt(Autoclear.rawData);
    if (dataFile === '') delete header.dataFileName;
    else if (dataFile !== undefined) header.dataFileName = dataFile;
  });
}

async function setLazyRefcounts(image: Qcow2State, lazy: boolean | undefined): Promise<void> {
  const { header } = image;
  if (lazy === undefined || header.version < 3) return;
  if (!lazy) {
    // Without the feature nobody would look at the dirty bit: the refcounts are exact before.
    await flushImage(image);
    await image.setIncompatible(Incompatible.dirty, false);
  }
  const bit = BigInt(Compatible.lazyRefcounts);
  await image.changeHeader(
    (changed) => {
      changed.compatible = lazy ? changed.compatible | bit : changed.compatible & ~bit;
    },
    () => {
      image.lazyRefcounts = lazy;
    },
  );
}
