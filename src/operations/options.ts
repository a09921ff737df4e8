/** `-o` options for a format and for the protocol below it: one list for the user, two drivers behind it. */
import { asBlockError, unsupported } from '../base/error.ts';
import { exactDecimal } from '../base/size.ts';
import { protocolOfName } from '../block/graph/names.ts';
import type { FormatDriver } from '../block/format.ts';
import type { ProtocolDriver } from '../block/protocol.ts';
import { coerceOptions } from '../options/coerce.ts';
import { escapeValue, type OptionPair } from '../options/keyval.ts';
import type { AnyOptionValues, OptionTable } from '../options/table.ts';
import type { OperationContext } from './context.ts';

/** A format that can be created, or a protocol used as one (`-f file`). */
export interface CreatableFormat {
  readonly name: string;
  readonly createOptions: OptionTable;
  /** Absent for a protocol. */
  readonly driver?: FormatDriver;
}

/** Drivers and tables of a new image. */
export interface NewImage {
  readonly format: CreatableFormat;
  /** Protocol of the file name; absent when there is none. */
  readonly protocol?: ProtocolDriver;
  /** Options of the format, then those of the protocol that the format does not have itself. */
  readonly table: OptionTable;
}

/**
 * Finds what is needed to create an image, in the real tool's order of errors: format unknown, protocol unknown, format
 * read-only, protocol read-only.
 * @param filename absent for questions about the format alone.
 */
export async function newImage(context: OperationContext, format: string, filename?: string): Promise<NewImage> {
  const { drivers } = context;
  if (!drivers.has(format)) throw unsupported(`Unknown file format '${format}'`);
  const protocol = filename === undefined ? undefined : await protocolOf(context, filename);
  const creatable = await creatableFormat(context, format);
  if (protocol === undefined) return { format: creatable, table: creatable.createOptions };
  const further = protocol.createOptions;
  if (!further) {
    throw unsupported(`Protocol driver '${protocol.name}' does not support image creation`);
  }
  return { format: creatable, protocol, table: { ...creatable.createOptions, ...without(further, creatable) } };
}

function without(table: OptionTable, format: CreatableFormat): OptionTable {
  return Object.fromEntries(Object.entries(table).filter(([name]) => !Object.hasOwn(format.createOptions, name)));
}

/** Only plain names and `protocol:` names can be created, no `json:` descriptions. */
async function protocolOf(context: OperationContext, filename: string): Promise<ProtocolDriver> {
  if (filename.startsWith('json:')) throw unsupported(`Unknown protocol 'json'`);
  return protocolOfName(context, filename);
}

async function creatableFormat(context: OperationContext, name: string): Promise<CreatableFormat> {
  const { drivers } = context;
  const driver = drivers.isFormat(name) ? await drivers.format(name) : undefined;
  const createOptions = drivers.isFilter(name) ? undefined : (driver ?? (await drivers.protocol(name))).createOptions;
  if (!createOptions || (driver && !driver.create)) {
    throw unsupported(`Format driver '${name}' does not support image creation`);
  }
  return { name, createOptions, ...(driver ? { driver } : {}) };
}

/** Options of a `-o` list with the drivers they belong to. */
export interface NewImageOptions {
  /** Values of the format's options, defaults included. */
  readonly format: AnyOptionValues;
  /** Values of the protocol's own options that were given. */
  readonly protocol: AnyOptionValues;
  /** Names that were given. */
  readonly given: ReadonlySet<string>;
  /** `name=value` of everything that was given or has a default, in the order of the tables, commas doubled. */
  readonly shown: ReadonlyMap<string, string>;
}

/**
 * The values of a `-o` list.
 * @throws BlockError `Invalid parameter 'x'` and the like.
 */
export function coerceNewImage(image: NewImage, pairs: readonly OptionPair[]): NewImageOptions {
  const { values, given } = coerceOptions(image.table, pairs);
  const format: Record<string, string | number | boolean | undefined> = {};
  const protocol: Record<string, string | number | boolean | undefined> = {};
  const shown = new Map<string, string>();
  for (const name of Object.keys(image.table)) {
    const value = values[name];
    if (value === undefined) continue;
    if (Object.hasOwn(image.format.createOptions, name)) format[name] = value;
    else protocol[name] = value;
    shown.set(name, given.get(name) ?? showValue(value));
  }
  return { format, protocol, given: new Set(given.keys()), shown };
}

/** A value as the `Formatting ...` line has it. */
export function showValue(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return typeof value === 'number' ? exactDecimal(value) : escapeValue(value);
}

/** Runs `body`; an error gets `NAME: ` in front. */
export async function namingFile<T>(filename: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (thrown) {
    throw asBlockError(thrown).prepend(`${filename}: `);
  }
}
