/** What opening, walking and checking an image tells, whatever its format is. */
import { asBlockError, type BlockError } from '../../base/error.ts';
import { SECTOR, TiB } from '../../base/offset.ts';
import { isZero } from '../../base/zero.ts';
import { closedGate, type Gate } from '../../block/graph/gate.ts';
import { openRequest, type OpenRequest } from '../../block/graph/open.ts';
import type { InspectRule } from '../../block/inspection.ts';
import type { ImageNode } from '../../block/node/node.ts';
import { readAt, type Storage } from '../../storage/storage.ts';
import type { OperationContext } from '../context.ts';
import type { Findings } from './findings.ts';

/** Larger disks are a way to fill those of others. */
const LARGEST_DISK: number = 64 * TiB;
/** Bytes that compressed data may expand to, for each byte of the file: deflate reaches 1,032, zstd with zeroes somewhat more. */
const EXPANSION = 4096;
/** Larger files are not decoded to look for overlaps, where that is the only way to find them. */
const LARGEST_DECODED = 4194304;
/** Bytes behind the end of an image that are looked at, and at a time. */
const MOST_TRAILING = 67108864;
const PIECE = 1048576;

/** Opens an image and looks at it, without anything that it names. Gives its guest size if it could be opened. */
export async function inspectStructure(
  context: OperationContext,
  request: OpenRequest,
  findings: Findings,
): Promise<number | undefined> {
  const gate: Gate = (reference) => {
    const { role } = reference;
    const rule: InspectRule = role === 'data-file' ? role : role.startsWith('extents') ? 'extents' : 'backing-file';
    findings.name(role, reference.reference);
    findings.fail(rule, `the image wants another file opened (${role})`);
    return closedGate(reference);
  };
  let node: ImageNode;
  try {
    node = await openRequest({ ...context, gate }, request);
  } catch (thrown) {
    const error = asBlockError(thrown);
    if (error.kind !== 'denied') tell(findings, error, 'format');
    return undefined;
  }
  try {
    await lookAt(context, node, findings);
    return node.size();
  } finally {
    await node.close();
  }
}

async function lookAt(context: OperationContext, node: ImageNode, findings: Findings): Promise<void> {
  const { backingReference: backing } = node;
  if (backing) {
    findings.fail('backing-file', 'the image is an overlay of another one');
    findings.name('backing file', backing.file);
  }
  if (node.size() > LARGEST_DISK) findings.fail('sizes', `the disk has ${node.size()} bytes`);
  await attempt(findings, ['metadata'], async () => {
    const { dirty, encrypted } = await node.info();
    if (dirty) findings.fail('state', 'the image was not closed properly');
    if (encrypted && !findings.isTold('encryption')) findings.note('encryption', 'the content is encrypted');
  });
  // What is known to be wrong is not worth more time; nor is it bounded any longer.
  if (findings.isOpen('metadata') || findings.hasFailed('sizes', 'format')) return;
  await attempt(findings, ['metadata', 'expansion'], () => walk(context, node, findings));
  if (!findings.isOpen('metadata')) await attempt(findings, ['metadata', 'trailing-data'], () => check(node, findings));
}

/** Runs a step; rules are open if it cannot be finished. */
async function attempt(findings: Findings, rules: readonly InspectRule[], step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (thrown) {
    for (const rule of rules) tell(findings, asBlockError(thrown), rule);
  }
}

/** An error as what it says of a rule: of what takes too long nothing is known. */
export function tell(findings: Findings, error: BlockError, rule: InspectRule): void {
  if (error.kind === 'limit' || error.kind === 'io' || error.kind === 'internal') findings.unknown(rule, error.message);
  else findings.fail(rule, error.message === error.strerror ? 'the image is damaged' : error.message);
}

/** Compares what is stored with what the file can hold. */
async function walk(context: OperationContext, node: ImageNode, findings: Findings): Promise<void> {
  const room = node.file?.size() ?? 0;
  let stored = 0;
  let compressed = 0;
  for (let at = 0; at < node.size(); ) {
    context.deadline?.check();
    const mapping = await node.map(at, node.size() - at);
    at += mapping.length;
    if (mapping.kind === 'special' && mapping.compressed) compressed += mapping.length;
    else if (mapping.kind === 'data' || mapping.kind === 'special') stored += mapping.length;
    if (mapping.kind === 'data' && mapping.storage === node.file && mapping.offset >= room) {
      findings.fail('metadata', `data of the disk is at ${mapping.offset}, beyond the end of the file`);
      return;
    }
    // The last unit may be there only in part.
    if (stored > room + (node.allocationUnit ?? SECTOR)) {
      findings.fail('metadata', 'the disk has more data than the file: places are used twice');
      return;
    }
    if (compressed <= room * EXPANSION) continue;
    findings.fail('expansion', `the file would expand to more than ${EXPANSION} times its size`);
    return;
  }
}

/** Has the structure checked, as far as that takes no decoding, and looks at what is behind its end. */
async function check(node: ImageNode, findings: Findings): Promise<void> {
  const size = node.file?.size() ?? 0;
  const { checks } = node;
  const deep = checks?.deepOnly === true;
  if (!checks || (deep && size > LARGEST_DECODED)) return;
  let first: string | undefined;
  const found = await node.check('none', ({ text }) => (first ??= text), deep);
  if (found.checkErrors > 0) findings.unknown('metadata', 'the check could not be finished');
  if (found.corruptions > 0)
    findings.fail('metadata', `${found.corruptions} errors, the first one: ${first ?? 'unknown'}`);
  else if (found.leaks > 0) findings.note('metadata', `${found.leaks} clusters are not in use`);
  const end = found.imageEndOffset;
  if (node.file && end !== undefined && end < size) await inspectTail(node.file, end, findings);
}

async function inspectTail(file: Storage, end: number, findings: Findings): Promise<void> {
  const size = file.size();
  for (let at = end; at < Math.min(size, end + MOST_TRAILING); at += PIECE) {
    if (isZero(await readAt(file, at, Math.min(PIECE, size - at)))) continue;
    findings.fail('trailing-data', `the image ends at ${end}, and data follows`);
    return;
  }
  if (size > end + MOST_TRAILING)
    findings.note('trailing-data', `only the first ${MOST_TRAILING} bytes were looked at`);
}
