/** The options of a new target of `convert`, and what cannot be about them. */
import { PLAIN_FORMAT } from '../../options/filename.ts';
import { type BlockError, invalidArgument, unsupported } from '../../base/error.ts';
import type { AnyOptionValues } from '../../options/table.ts';
import type { OperationContext } from '../context.ts';
import { coerceNewImage, type NewImage, type NewImageOptions, newImage } from '../options.ts';
import type { ConvertRequest } from '../requests.ts';
import { imageFormat, imageName, optionPairs } from '../shorthand.ts';

/** Options of the new target, checked. */
export interface NewTarget {
  readonly image: NewImage;
  readonly options: NewImageOptions;
  readonly backingFile?: string;
  readonly backingFormat?: string;
}

/** @throws BlockError for a backing image of several sources in a row. @param sources their number. */
export function checkBacking(backingFile: string | undefined, sources: number): void {
  if (backingFile === undefined || sources === 1) return;
  throw invalidArgument('Having a backing file for the target makes no sense when concatenating multiple input images');
}

/** The checks of a new target that need no file, in the real tool's order. @param sources number of images. */
export async function checkNewTarget(
  context: OperationContext,
  request: ConvertRequest,
  sources: number,
): Promise<NewTarget> {
  const { target, compress, backing = {} } = request;
  const image = await newImage(context, imageFormat(target) ?? PLAIN_FORMAT, imageName(target));
  const options = coerceNewImage(image, optionPairs(request.options));
  const { name, createOptions, driver } = image.format;
  if (backing.filename !== undefined && !('backing_file' in createOptions)) {
    throw invalidArgument(`Backing file not supported for file format '${name}'`);
  }
  if (backing.format !== undefined && !('backing_fmt' in createOptions)) {
    throw invalidArgument(`Backing file format not supported for file format '${name}'`);
  }
  const backingFile = backing.filename ?? text(options.format['backing_file']);
  const backingFormat = backing.format ?? text(options.format['backing_fmt']);
  checkBacking(backingFile, sources);
  if (backingFile !== undefined && backingFormat === undefined && 'backing_fmt' in createOptions) {
    throw invalidArgument('Use of backing file requires explicit backing format');
  }
  if (compress && !driver?.compresses) throw noCompression();
  if (compress && isEncrypted(options.format)) throw compressedAndEncrypted();
  if (compress && isPreallocated(options.format)) {
    throw invalidArgument('Compression and preallocation not supported at the same time');
  }
  return {
    image,
    options,
    ...(backingFile === undefined ? {} : { backingFile }),
    ...(backingFormat === undefined ? {} : { backingFormat }),
  };
}

/** @throws BlockError for what an image that goes out through a pipe cannot have. */
export function refuseInPipe({ bitmaps, atomic }: ConvertRequest, { backingFile }: NewTarget): void {
  const what = bitmaps ? 'bitmaps' : atomic ? 'atomic' : backingFile && 'a backing file';
  if (what) throw unsupported(`Images that go out through a pipe are not written with ${what}`);
}

/** The error for a format without compression. */
export function noCompression(): BlockError {
  return unsupported('Compression not supported for this file format');
}

/** The error for both at once. */
export function compressedAndEncrypted(): BlockError {
  return unsupported('Compression and encryption not supported at the same time');
}

/** True if the options of a new image ask for encryption, whatever is wrong with them. */
function isEncrypted(options: AnyOptionValues): boolean {
  return options['encryption'] === true || options['encrypt.format'] !== undefined;
}

function text(value: AnyOptionValues[string]): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** True if the options of a new image ask for space that nothing is in yet. */
export function isPreallocated(options: AnyOptionValues): boolean {
  const mode = options['preallocation'];
  return mode !== undefined && mode !== 'off';
}
