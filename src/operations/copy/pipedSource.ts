/** The only source of a conversion that comes in through a pipe: what it is decides how it is copied. */
import { type ByteStream, PeekableStream } from '../../base/byteStream.ts';
import { PLAIN_FORMAT } from '../../options/filename.ts';
import { expandPiped } from '../../block/graph/piped.ts';
import { PROBE_SIZE } from '../../block/graph/registry.ts';
import type { OperationContext } from '../context.ts';
import type { ConvertRequest, ImageInput } from '../requests.ts';
import { imageFormat } from '../shorthand.ts';
import { isPiped } from '../source.ts';

/** What comes in. */
export interface PipedSource {
  /** It is a raw disk, whose length its end will tell. */
  readonly isRaw: boolean;
  readonly stream: ByteStream;
  /** The context in which it can be opened from its beginning. */
  readonly context: OperationContext;
}

/** The source of `request`, looked at; undefined if it is none that can be copied as it comes. */
export async function pipedSource(
  context: OperationContext,
  request: ConvertRequest,
  sources: readonly ImageInput[],
): Promise<PipedSource | undefined> {
  const [source] = sources;
  const { pipes } = context.services;
  if (!source || sources.length > 1 || !pipes || !isPiped(context, source) || pipes.inputFile() !== undefined) {
    return undefined;
  }
  const format = imageFormat(source);
  const input = new PeekableStream(pipes.input(), 65536);
  const stream = await expandPiped(context.services, input, format !== PLAIN_FORMAT);
  const found = format ?? context.drivers.probe(await stream.peek(PROBE_SIZE), '-') ?? PLAIN_FORMAT;
  const { noCreate, snapshot, bitmaps, backing, salvage, copyRange } = request;
  const special = noCreate || snapshot || bitmaps || backing?.filename || salvage || copyRange;
  return {
    isRaw: found === PLAIN_FORMAT && !special,
    stream,
    context: { ...context, services: { ...context.services, pipes: { ...pipes, input: () => stream } } },
  };
}
