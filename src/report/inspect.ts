/** What `inspect` prints, and its exit codes. */
import { exactDecimal, humanSize } from '../base/size.ts';
import type { InspectCheck, InspectResult } from '../operations/inspect.ts';
import { formatJson } from './json.ts';

const EXIT_CODES: Readonly<Record<InspectResult['kind'], number>> = { safe: 0, unknown: 1, unsafe: 2 };
const SUMMARIES: Readonly<Record<InspectResult['kind'], string>> = {
  safe: 'No rule is broken.',
  unsafe: 'The image is not safe to use.',
  unknown: 'It could not be told whether the image is safe to use.',
};
/** Columns of the names of rules. */
const WIDTH = 14;

/** The exit code for a result. */
export function inspectExitCode({ kind }: InspectResult): number {
  return EXIT_CODES[kind];
}

/** For people. */
export function formatInspect(result: InspectResult): string {
  const { filename, format, fileSize, virtualSize, contents, checks, names, kind } = result;
  const lines = [`image: ${plain(filename)}`, `file format: ${format}`, `file length: ${sizeText(fileSize)}`];
  if (virtualSize !== undefined) lines.push(`virtual size: ${sizeText(virtualSize)}`);
  if (contents.length > 0) lines.push(`content: ${contents.join(', ')}`);
  for (const { role, name } of names) lines.push(`names as ${role}: ${plain(name)}`);
  lines.push('', ...checks.flatMap(checkLines), '', SUMMARIES[kind]);
  return `${lines.join('\n')}\n`;
}

function checkLines({ rule, verdict, reasons }: InspectCheck): string[] {
  const margin = `${rule.padEnd(WIDTH)} ${verdict.padEnd(8)}`;
  if (reasons.length === 0) return [margin.trimEnd()];
  return reasons.map((reason, index) => `${index === 0 ? margin : ' '.repeat(margin.length)}${plain(reason)}`);
}

function sizeText(bytes: number): string {
  return `${humanSize(bytes)} (${exactDecimal(bytes)} bytes)`;
}

/** Text of an image without what a terminal would act on. */
function plain(text: string): string {
  return Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
    return isControl ? `\\x${code.toString(16).padStart(2, '0')}` : character;
  }).join('');
}

/** For programs. */
export function formatInspectJson(result: InspectResult): string {
  const { kind, filename, format, fileSize, virtualSize, contents, checks, names } = result;
  return `${formatJson({
    filename,
    format,
    safe: kind === 'unknown' ? null : kind === 'safe',
    'file-length': fileSize,
    'virtual-size': virtualSize,
    contents,
    checks: checks.map(({ rule, verdict, reasons }) => ({ rule, verdict, reasons })),
    names: names.map(({ role, name }) => ({ role, name })),
  })}\n`;
}
