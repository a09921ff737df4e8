/** `inspect`: whether an image of somebody else can be used without danger. */
import { asBlockError } from '../base/error.ts';
import { openRequest } from '../block/graph/open.ts';
import { treeOfName } from '../block/graph/reference.ts';
import type { DriverRegistry } from '../block/graph/registry.ts';
import { PROBE_SIZE } from '../block/graph/registry.ts';
import type { InspectRule } from '../block/inspection.ts';
import { isTree } from '../options/dotted.ts';
import { PLAIN_FORMAT } from '../options/filename.ts';
import { readAt, type Storage } from '../storage/storage.ts';
import type { OperationContext } from './context.ts';
import { contentsOf } from './inspect/contents.ts';
import { Findings, type InspectCheck, type InspectName } from './inspect/findings.ts';
import { inspectStructure, tell } from './inspect/structure.ts';
import type { InspectRequest } from './requests.ts';
import { imageFormat, imageName } from './shorthand.ts';
import { untrustedContext } from './untrusted.ts';

export type { InspectCheck, InspectName, InspectRule };

/** Seconds for everything but the start of the program. */
const SECONDS = 1.2;
/** Bytes of the last structure of some formats, by which they are told. */
const TAIL = 512;

/** Result of {@link inspect}. */
export interface InspectResult {
  /** No rule is broken; one is; none is known to be, but not all could be looked at. */
  readonly kind: 'safe' | 'unsafe' | 'unknown';
  readonly filename: string;
  /** The format by content, whatever the name says; `raw` where there is none. */
  readonly format: string;
  /** Bytes of the file. */
  readonly fileSize: number;
  /** Guest size in bytes; absent where the image cannot be opened. */
  readonly virtualSize?: number;
  /** What else was recognised, for people. */
  readonly contents: readonly string[];
  /** Every rule. */
  readonly checks: readonly InspectCheck[];
  /** What would be opened for the image, as it is stored. */
  readonly names: readonly InspectName[];
}

/**
 * Looks at an image that nobody vouches for. Nothing that it names is opened, nothing is written, and the time is bounded,
 * whatever is in the file.
 * @throws BlockError if the file cannot be opened or read.
 */
export async function inspect(context: OperationContext, request: InspectRequest): Promise<InspectResult> {
  const limits = { seconds: SECONDS, strict: false };
  const bounded = untrustedContext({ ...context, onWarning: () => undefined }, 'inspect', limits);
  const filename = imageName(request.image);
  const tree = await treeOfName(context.drivers, filename);
  const file = isTree(tree['file']) ? tree['file'] : tree;
  const how = { filename, forceShare: request.forceShare ?? false, noBacking: true } as const;
  const node = await openRequest(bounded, { ...how, tree: file, intent: 'info' });
  const findings = new Findings(bounded.services.limits);
  try {
    const { format, contents } = await recognize(bounded, node, imageFormat(request.image), findings);
    const fileSize = node.size();
    const known = await bounded.drivers.inspector(format);
    try {
      await known?.(node, findings);
    } catch (thrown) {
      tell(findings, asBlockError(thrown), 'format');
    }
    const open = { ...how, tree: { driver: format, file }, intent: 'check', keyless: true } as const;
    // What has too much of something is not opened: that is where it would cost.
    const opens = format !== PLAIN_FORMAT && !findings.hasFailed('sizes');
    const found = opens ? await inspectStructure(quiet(bounded), open, findings) : undefined;
    const virtualSize = format === PLAIN_FORMAT ? fileSize : found;
    const { checks, names } = findings;
    const size = virtualSize === undefined ? {} : { virtualSize };
    return { kind: verdict(checks), filename, format, fileSize, ...size, contents, checks, names };
  } finally {
    await node.close();
  }
}

/** Nobody is told on the way: what matters is in the result. */
function quiet(context: OperationContext): OperationContext {
  return { ...context, onWarning: () => undefined, onComplaint: () => undefined, onNotice: () => undefined };
}

function verdict(checks: readonly InspectCheck[]): InspectResult['kind'] {
  if (checks.some(({ verdict: one }) => one === 'fail')) return 'unsafe';
  return checks.some(({ verdict: one }) => one === 'unknown') ? 'unknown' : 'safe';
}

/** Finds out what the file is, and whether it is more than one thing. */
async function recognize(
  context: OperationContext,
  file: Storage,
  expected: string | undefined,
  findings: Findings,
): Promise<{ readonly format: string; readonly contents: readonly string[] }> {
  const { atStart, atEnd } = await formatsOf(context.drivers, file);
  const found = [...new Set([...atStart, ...atEnd])];
  const format = found[0] ?? PLAIN_FORMAT;
  const { kinds, problems } = await contentsOf(file);
  if (expected !== undefined && expected !== format) {
    findings.fail('format', `the content is ${format}, and not ${expected} as it should be`);
  }
  if (found.length > 1) findings.fail('polyglot', `the file is an image of several formats: ${found.join(', ')}`);
  // What is told by its end begins with the disk itself, or may.
  if (atStart.length > 0 && kinds.length > 0) {
    findings.fail('polyglot', `the file is an image of the format ${format}, and something else: ${kinds.join(', ')}`);
  }
  for (const problem of problems) findings.fail('partitions', problem);
  if (problems.length === 0 && kinds.length > 0) findings.note('partitions', kinds.join(', '));
  return { format, contents: kinds };
}

/** All formats that recognise the file, by its start and by its end; names do not count. */
async function formatsOf(
  { formats }: DriverRegistry,
  file: Storage,
): Promise<{ readonly atStart: readonly string[]; readonly atEnd: readonly string[] }> {
  const head = await readAt(file, 0, Math.min(PROBE_SIZE, file.size()));
  const length = Math.min(2 * TAIL, file.size());
  const tail = await readAt(file, file.size() - length, length);
  // Files need not end where sectors do.
  const ends = Array.from({ length: Math.max(0, length - TAIL + 1) }, (_, at) => tail.subarray(at));
  return {
    atStart: formats.filter(({ probe }) => (probe?.(head, '') ?? 0) > 0).map(({ name }) => name),
    atEnd: formats.filter(({ isTail }) => isTail && ends.some((end) => isTail(end))).map(({ name }) => name),
  };
}
