/** What `map` prints, line by line: maps can be long. */
import { unsupported } from '../base/error.ts';
import { exactDecimal } from '../base/size.ts';
import type { MapExtent } from '../operations/map.ts';

/** Lines that are handed on together. */
const BATCH = 512;

/** What comes before the first run. */
export function mapOpening(json: boolean): string {
  return json ? '[' : row('Offset', 'Length', 'Mapped to', 'File');
}

/**
 * The rest of the table for people: only runs that hold data.
 * @throws BlockError at the first run whose data cannot be read from a file as it is.
 */
export async function* formatMap(extents: AsyncIterable<MapExtent>): AsyncGenerator<string, void, undefined> {
  let text = '';
  let lines = 0;
  try {
    for await (const extent of extents) {
      if (!extent.data) continue;
      text += tableLine(extent);
      if (++lines % BATCH === 0) {
        yield text;
        text = '';
      }
    }
  } finally {
    // What was found before a failure is shown, as with the real tool.
    yield text;
  }
}

function row(offset: string, length: string, place: string, file: string): string {
  return `${offset.padEnd(16)}${length.padEnd(16)}${place.padEnd(16)}${file}\n`;
}

/** Nothing for runs that read as zeroes. */
function tableLine(extent: MapExtent): string {
  if (extent.offset === undefined || extent.filename === undefined || extent.compressed) {
    throw unsupported('File contains external, encrypted or compressed clusters.');
  }
  if (extent.zero) return '';
  return row(hexadecimal(extent.start), hexadecimal(extent.length), hexadecimal(extent.offset), extent.filename);
}

function hexadecimal(value: number): string {
  return value === 0 ? '0' : `0x${BigInt(value).toString(16)}`;
}

/** The rest of the list for programs: one object per line. */
export async function* formatMapJson(extents: AsyncIterable<MapExtent>): AsyncGenerator<string, void, undefined> {
  let text = '';
  let lines = 0;
  let end: string | undefined;
  try {
    for await (const extent of extents) {
      text += `${lines === 0 ? '' : ',\n'}${jsonLine(extent)}`;
      if (++lines % BATCH === 0) {
        yield text;
        text = '';
      }
    }
    end = ']\n';
  } finally {
    // Where the walk fails, the real tool has announced one more line.
    yield text + (end ?? (lines === 0 ? '' : ',\n'));
  }
}

function jsonLine(extent: MapExtent): string {
  const { start, length, depth, present, zero, data, compressed, offset } = extent;
  const place = offset === undefined ? '' : `, "offset": ${exactDecimal(offset)}`;
  return (
    `{ "start": ${exactDecimal(start)}, "length": ${exactDecimal(length)}, "depth": ${depth}, ` +
    `"present": ${present}, "zero": ${zero}, "data": ${data}, "compressed": ${compressed}${place}}`
  );
}
