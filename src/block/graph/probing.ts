/** What a file is taken for whose format nobody named, and the guard of one that was taken for a raw disk. */
import { asBlockError, BlockError } from '../../base/error.ts';
import { PLAIN_FORMAT } from '../../options/filename.ts';
import type { Storage } from '../../storage/storage.ts';
import { descriptorOfExtent, kindOfFile } from './notRaw.ts';
import { PROBE_SIZE } from './registry.ts';
import type { Scope } from './scope.ts';

/** The format that the head of a file tells; raw where none does. @param known the head, where it was read already. */
export async function probeFormat(file: Storage, scope: Scope, known?: Uint8Array): Promise<string> {
  const head = known ?? (await readHead(file));
  const format = scope.context.drivers.probe(head, file.name);
  if (format === undefined) warnOfOtherFile(head, file.name, scope);
  return format ?? PLAIN_FORMAT;
}

async function readHead(file: Storage): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(PROBE_SIZE, file.size()));
  try {
    await file.read(0, head);
    return head;
  } catch (thrown) {
    const error = asBlockError(thrown);
    throw error.reworded(`Could not read image for determining its format: ${error.strerror}`);
  }
}

/** Tells about files that are taken for raw disks, as in the real tool, but are probably not meant as such. */
function warnOfOtherFile(head: Uint8Array, filename: string, { context, intent }: Scope): void {
  const kind = kindOfFile(head);
  if (kind !== undefined) context.onWarning?.(`'${filename}' is ${kind}; it is taken for a raw disk as it is`);
  // The bytes are right; whoever only describes an extent knows what it is.
  const descriptor = intent === 'io' ? descriptorOfExtent(filename) : undefined;
  if (descriptor !== undefined) {
    context.onWarning?.(`'${filename}' is a part of a VMDK image, taken for a raw disk; the image is '${descriptor}'`);
  }
}

/** Whoever can write a raw disk can make it look like another format the next time it is opened. */
export function noticeProbedRaw(scope: Scope, filename: string): void {
  scope.context.onNotice?.(
    `WARNING: Image format was not specified for '${filename}' and probing guessed raw.\n` +
      '         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be ' +
      "restricted.\n         Specify the 'raw' format explicitly to remove the restrictions.",
  );
}

/** Holds what {@link noticeProbedRaw} announces. */
export function startGuard({ context }: Scope, filename: string): { admitStart(head: Uint8Array): void } {
  return {
    admitStart(head) {
      if (context.drivers.probe(head, filename) === undefined) return;
      throw new BlockError('denied', 'Operation not permitted', { context: { filename } });
    },
  };
}
