/** `create`: writes an empty image. */
import { asBlockError, type BlockError, invalidArgument, unsupported } from '../base/error.ts';
import { createImage } from '../block/graph/create.ts';
import { creating, nameFrom } from '../block/graph/names.ts';
import { openRequest } from '../block/graph/open.ts';
import { PLAIN_FORMAT } from '../options/filename.ts';
import type { AnyOptionValues, OptionTable } from '../options/table.ts';
import type { OperationContext } from './context.ts';
import {
  type CreatableFormat,
  coerceNewImage,
  type NewImage,
  type NewImageOptions,
  namingFile,
  newImage,
  showValue,
} from './options.ts';
import type { CreateRequest } from './requests.ts';
import { bytesOf, optionPairs } from './shorthand.ts';

/** What is going to be created: the content of the `Formatting ...` line. */
export interface CreatePlan {
  readonly filename: string;
  readonly format: string;
  /** Options that were given or have a default, in the real tool's order, as text with commas doubled. */
  readonly options: readonly (readonly [name: string, text: string])[];
}

/** Result of {@link create}. */
export interface CreateResult extends CreatePlan {
  /** Guest size in bytes that was asked for; the format may have rounded it up. */
  readonly size: number;
}

/** Tables for `-o help`. */
export interface CreateOptionTables {
  readonly format: string;
  readonly table: OptionTable;
  /** Options of the protocol; absent when no file was named. */
  readonly protocol?: OptionTable;
}

/**
 * The options that a new image can have.
 * @param filename decides about the protocol; absent: the format's options only.
 * @throws BlockError if the format is unknown or cannot be created.
 */
export async function createOptionTables(
  context: OperationContext,
  format: string,
  filename?: string,
): Promise<CreateOptionTables> {
  const image = await newImage(context, format, filename);
  const table = image.format.createOptions;
  return { format, table, ...(image.protocol?.createOptions ? { protocol: image.protocol.createOptions } : {}) };
}

/**
 * Writes an empty image. A file that is there is overwritten; a new one is removed again if something goes wrong.
 * @param onStart is called when the arguments are known to be good, right before the file is touched.
 * @throws BlockError whose message begins with `NAME: `.
 */
export async function create(
  context: OperationContext,
  request: CreateRequest,
  onStart?: (plan: CreatePlan) => void,
): Promise<CreateResult> {
  const { filename, format = PLAIN_FORMAT } = request;
  if (typeof filename !== 'string') throw invalidArgument('filename: the name of the new image is needed');
  const asked = request.size === undefined ? undefined : bytesOf(request.size);
  return namingFile(filename, async () => {
    const image = await newImage(context, format, filename);
    const options = coerceNewImage(image, optionPairs(request.options));
    if (asked !== undefined && options.given.has('size')) {
      throw invalidArgument('The image size must be specified only once');
    }
    const backing = backingOf(request, image, options);
    const size = await sizeOf(context, request, asked ?? options.format['size'], image, options, backing);
    const values: AnyOptionValues = {
      ...options.format,
      size,
      ...(backing.file === undefined ? {} : { backing_file: backing.file }),
      ...(backing.format === undefined ? {} : { backing_fmt: backing.format }),
    };
    const plan: CreatePlan = { filename, format, options: shownOptions(image, options, values) };
    onStart?.(plan);
    checkBackingFormat(context, image.format, backing.format);
    try {
      await writeImage(context, { filename }, image, values, options.protocol);
    } catch (thrown) {
      throw tooLarge(asBlockError(thrown), image);
    }
    return { ...plan, size };
  });
}

/** The backing image as it is to be recorded. */
interface RecordedBacking {
  readonly file: string | undefined;
  readonly format: string | undefined;
}

function backingOf(
  { filename, backing = {} }: CreateRequest,
  image: NewImage,
  options: NewImageOptions,
): RecordedBacking {
  const { name, createOptions } = image.format;
  if (backing.filename !== undefined && !('backing_file' in createOptions)) {
    throw unsupported(`Backing file not supported for file format '${name}'`);
  }
  if (backing.format !== undefined && !('backing_fmt' in createOptions)) {
    throw unsupported(`Backing file format not supported for file format '${name}'`);
  }
  const file = backing.filename ?? textOf(options.format['backing_file']);
  const format = backing.format ?? textOf(options.format['backing_fmt']);
  if (file === '') throw invalidArgument('Expected backing file name, got empty string');
  if (file === filename) {
    throw invalidArgument('Error: Trying to create an image with the same filename as the backing file');
  }
  return { file, format };
}

function textOf(value: AnyOptionValues[string]): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Formats that record a backing format only if they know the name, even where they do not look at the image. */
function checkBackingFormat(context: OperationContext, { driver }: CreatableFormat, backing: string | undefined): void {
  if (backing === undefined || context.drivers.has(backing)) return;
  const problem = driver?.unknownBackingFormat?.(backing);
  if (problem !== undefined) throw invalidArgument(problem);
}

/** The guest size; looks at the backing image, which has to be there even if the size is given. */
async function sizeOf(
  context: OperationContext,
  request: CreateRequest,
  own: AnyOptionValues[string],
  image: NewImage,
  options: NewImageOptions,
  backing: RecordedBacking,
): Promise<number> {
  const known = typeof own === 'number' ? own : undefined;
  let inherited: number | undefined;
  if (backing.file !== undefined && !request.backing?.unsafe) {
    inherited = await lookAtBacking(context, request.filename, backing.file, backing.format);
  } else if (backing.file !== undefined && backing.format === undefined) {
    throw withoutFormat();
  }
  const size = known ?? inherited;
  // Shown as the real tool shows it.
  if (size === undefined && image.format.driver?.sizeless?.(options.format)) return -1;
  if (size === undefined) throw invalidArgument('Image creation needs a size parameter');
  return size;
}

function withoutFormat(hint?: string): BlockError {
  return invalidArgument('Backing file specified without backing format', hint === undefined ? {} : { hint });
}

/**
 * Opens the backing image only to look at it: no key is needed, and nobody is kept from using it.
 * @returns its guest size.
 */
async function lookAtBacking(
  context: OperationContext,
  filename: string,
  file: string,
  format: string | undefined,
): Promise<number> {
  try {
    const name = (await nameFrom(context, filename, file)) ?? file;
    const node = await openRequest(context, {
      filename: name,
      ...(format === undefined ? {} : { format }),
      intent: 'info',
      forceShare: true,
    });
    const found = { size: node.size(), format: node.format };
    await node.close();
    if (format === undefined) throw withoutFormat(`Detected format of ${found.format}.`);
    return found.size;
  } catch (thrown) {
    const error = asBlockError(thrown);
    if (error.hint?.startsWith('Detected format')) throw error;
    throw withHint(error, 'Could not open backing image.');
  }
}

/** The same error with one more line below it. */
function withHint(error: BlockError, line: string): BlockError {
  return error.reworded(error.message, [...error.hints, line]);
}

function shownOptions(
  image: NewImage,
  options: NewImageOptions,
  values: AnyOptionValues,
): readonly (readonly [string, string])[] {
  const shown: (readonly [string, string])[] = [];
  for (const name of Object.keys(image.table)) {
    const value = values[name];
    const decided = name === 'size' || name === 'backing_file' || name === 'backing_fmt';
    const shownValue = decided && value !== undefined ? showValue(value) : options.shown.get(name);
    if (shownValue !== undefined) shown.push([name, shownValue]);
  }
  return shown;
}

/**
 * Writes the file, and the image in it.
 * @param where `at`: build it there instead; see {@link createImage}.
 * @param values options of the format, size included; `protocolOptions` those of the protocol.
 */
export async function writeImage(
  context: OperationContext,
  where: { readonly filename: string; readonly at?: string },
  image: NewImage,
  values: AnyOptionValues,
  protocolOptions: AnyOptionValues,
): Promise<void> {
  const { driver } = image.format;
  if (!driver) return createFile(context, where.at ?? where.filename, values, image);
  // A raw image is its file: the file gets its size at once, so that space can be reserved for it.
  const raw = driver.plain ? { size: values['size'] } : {};
  await createImage(context, {
    ...where,
    driver,
    options: values,
    protocolOptions: { ...protocolOptions, ...raw },
  });
}

/** `create -f file`: the protocol's own way to create, without a format in it. */
async function createFile(
  context: OperationContext,
  filename: string,
  values: AnyOptionValues,
  image: NewImage,
): Promise<void> {
  const protocol = await context.drivers.protocol(image.format.name);
  await protocol.create?.(creating(context), filename, values);
}

/** `create` alone puts it so, for whatever the system does not take; copies say what failed. */
function tooLarge(error: BlockError, image: NewImage): BlockError {
  if (error.code !== 'EFBIG') return error;
  const advice = 'cluster_size' in image.format.createOptions ? ' (try using a larger cluster size)' : '';
  return error.reworded(`The image size is too large for file format '${image.format.name}'${advice}`);
}
