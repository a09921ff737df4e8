/** `-o help`: the options of a format. */
import { unsupported } from '../base/error.ts';
import type { ImageInput } from '../operations/requests.ts';
import type { Session } from './command.ts';
import type { Workplace } from './io.ts';

/** Which options are asked for. */
interface OptionHelpRequest {
  readonly purpose: 'create' | 'amend';
  /** Driver name; with `amend` absent if the image decides. */
  readonly format?: string | undefined;
  /** The file that would be written, for the options of its protocol. */
  readonly filename?: string | undefined;
  /** With `amend` and no format: the image to look at. */
  readonly image?: ImageInput | undefined;
}

/** Has the options listed. */
export function showOptions(session: Session, request: OptionHelpRequest): Promise<number> {
  return session.work('option-help', request, (place) =>
    request.purpose === 'create' ? showCreateOptions(request, place) : showAmendOptions(request, place),
  );
}

async function showCreateOptions(request: OptionHelpRequest, { context, out }: Workplace): Promise<number> {
  const [{ createOptionTables }, { createHelp }] = await Promise.all([
    import('../operations/create.ts'),
    import('../options/describe.ts'),
  ]);
  const { format, table, protocol } = await createOptionTables(context, request.format ?? 'raw', request.filename);
  out(createHelp(format, table, protocol));
  return 0;
}

async function showAmendOptions({ format, image }: OptionHelpRequest, place: Workplace): Promise<number> {
  const [{ withSource }, { amendHelp }] = await Promise.all([
    import('../operations/source.ts'),
    import('../options/describe.ts'),
  ]);
  const { context, out } = place;
  const { drivers } = context;
  const name =
    format ??
    (image === undefined ? 'raw' : await withSource(context, image, { writable: true }, async (node) => node.format));
  if (!drivers.has(name)) throw unsupported(`Unknown file format '${name}'`);
  const table = drivers.isFormat(name) ? (await drivers.format(name)).amendOptions : undefined;
  if (table === undefined) {
    throw unsupported(`Format driver '${name}' does not support option amendment`);
  }
  out(amendHelp(name, table));
  return 0;
}
