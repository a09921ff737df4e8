/** `-o help`: the options of a format. */
import { BlockError } from '../../base/error.ts';
import { createOptionTables } from '../../operations/create.ts';
import { withSource } from '../../operations/source.ts';
import { amendHelp, createHelp } from '../../options/describe.ts';
import type { OptionHelpRequest } from '../io.ts';
import type { Executor } from './executor.ts';

/** Lists options. */
export const execute: Executor<OptionHelpRequest> = async (context, request, _view, { out }) => {
  const { drivers } = context;
  if (request.purpose === 'create') {
    const { format, table, protocol } = await createOptionTables(context, request.format ?? 'raw', request.filename);
    out(createHelp(format, table, protocol));
    return 0;
  }
  const { image } = request;
  const name =
    request.format ??
    (image === undefined ? 'raw' : await withSource(context, image, { writable: true }, async (node) => node.format));
  if (!drivers.has(name)) throw new BlockError('unsupported', `Unknown file format '${name}'`);
  const table = drivers.isFormat(name) ? (await drivers.format(name)).amendOptions : undefined;
  if (table === undefined) {
    throw new BlockError('unsupported', `Format driver '${name}' does not support option amendment`);
  }
  out(amendHelp(name, table));
  return 0;
};
