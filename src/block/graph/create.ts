/** Creates images: the file, then the format inside it. */
import { asBlockError, unsupported, withPrefix } from '../../base/error.ts';
import type { AnyOptionValues } from '../../options/table.ts';
import type { Storage } from '../../storage/storage.ts';
import type { GraphContext } from './context.ts';
import type { CreateContext, FormatDriver } from '../format.ts';
import type { ProtocolStorage } from '../protocol.ts';
import { creating, openNamed, placed, protocolOfName } from './names.ts';
import { openRequest } from './open.ts';
import { accessFor } from './permission.ts';

/** What to create. */
export interface CreateImageRequest {
  readonly filename: string;
  /**
   * Name under which the image is built, in the same directory; it is going to be renamed to `filename`, which is what
   * the image and its messages call it meanwhile.
   */
  readonly at?: string;
  readonly driver: FormatDriver;
  /** Values of the driver's `createOptions`; `size` in bytes is always there. */
  readonly options: AnyOptionValues;
  /** Values of the protocol's `createOptions`. */
  readonly protocolOptions?: AnyOptionValues;
}

/**
 * Writes a new, empty image. A file that was there is emptied first, under QEMU's locks; a new file is removed again if
 * creation fails.
 */
export async function createImage(context: GraphContext, request: CreateImageRequest): Promise<void> {
  const { driver } = request;
  const filename = request.at ?? request.filename;
  if (!driver.create) {
    throw unsupported(`Format driver '${driver.name}' does not support image creation`);
  }
  const created: string[] = (await isFree(context, filename)) ? [filename] : [];
  const opened: Storage[] = [];
  try {
    const file = await createFile(context, filename, fileOptions(request), driver.sharesFile ?? false);
    opened.push(file);
    await driver.create(createContext(context, request, file, opened, created), request.options);
    for (const storage of opened) await storage.flush();
  } catch (error) {
    await closeAll(opened);
    for (const name of created) await removeQuietly(context, name);
    throw asBlockError(error);
  }
  await closeAll(opened);
}

/** Options of the empty file. */
function fileOptions({ driver, protocolOptions = {} }: CreateImageRequest): AnyOptionValues {
  if (!driver.preallocates) return protocolOptions;
  const { preallocation: _, ...others } = protocolOptions;
  return others;
}

function createContext(
  context: GraphContext,
  request: CreateImageRequest,
  file: Storage,
  opened: Storage[],
  created: string[],
): CreateContext {
  return {
    file,
    filename: request.filename,
    services: context.services,
    ...(request.protocolOptions ? { protocolOptions: request.protocolOptions } : {}),
    warn: (text, hint) => context.onWarning?.(text, hint),
    createChild: async (name, size, how = {}) => {
      const path = how.asGiven ? name : await placed(context, request.filename, name);
      if (!how.existing) {
        if (await isFree(context, path)) created.push(path);
        await createFile(context, path, { size, preallocation: how.preallocation ?? 'off' }, true).then((s) =>
          s.close(),
        );
      }
      const child = await openFile(context, path, false);
      opened.push(child);
      return child;
    },
    openBacking: async (name, format) => {
      const path = await placed(context, request.filename, name);
      const node = await withPrefix(`Could not open '${path}': `, () =>
        openRequest(context, { filename: path, ...(format === undefined ? {} : { format }), noBacking: true }),
      );
      opened.push(node);
      return node;
    },
  };
}

/** Creates or empties a file and opens it for writing. */
async function createFile(
  context: GraphContext,
  filename: string,
  options: AnyOptionValues,
  sharesFile: boolean,
): Promise<ProtocolStorage> {
  const protocol = await protocolOfName(context, filename);
  if (!protocol.create) {
    throw unsupported(`Protocol driver '${protocol.name}' does not support image creation`);
  }
  await protocol.create(creating(context), filename, { size: 0, ...options });
  return openFile(context, filename, sharesFile);
}

async function openFile(context: GraphContext, filename: string, sharesFile: boolean): Promise<ProtocolStorage> {
  const access = accessFor({ sharesFile, writable: true, describeOnly: false, forceShare: false, resize: true });
  return openNamed(context, filename, access);
}

/** True if the name is surely free, so that what gets it is new and can be removed again. */
async function isFree(context: GraphContext, filename: string): Promise<boolean> {
  const { names } = await protocolOfName(context, filename);
  try {
    return names !== undefined && (await names.status(context.services, filename)) === undefined;
  } catch {
    return false;
  }
}

async function removeQuietly(context: GraphContext, filename: string): Promise<void> {
  try {
    const { names } = await protocolOfName(context, filename);
    await names?.remove(context.services, filename);
  } catch {
    // The failure of the creation is the one to report.
  }
}

async function closeAll(storages: readonly Storage[]): Promise<void> {
  for (const storage of storages) await storage.close();
}
