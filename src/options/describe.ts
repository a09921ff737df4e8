/** The text of `-o help`. */
import type { OptionKind, OptionTable } from './table.ts';

const KINDS: Readonly<Record<OptionKind, string>> = {
  string: 'str',
  bool: 'bool (on/off)',
  number: 'num',
  size: 'size',
};

/** Width of the column `name=<kind>`. */
const COLUMN = 22;

/** One line per option, sorted by name; an option of several tables is that of the first. No final newline. */
function describeOptions(...tables: readonly OptionTable[]): string {
  const options = new Map(tables.toReversed().flatMap((table) => Object.entries(table)));
  return [...options]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, spec]) => {
      const suffix = spec.defaultText === undefined ? '' : ` (default: ${spec.defaultText})`;
      return `  ${`${name}=<${KINDS[spec.kind]}>`.padEnd(COLUMN)} - ${spec.help}${suffix}`;
    })
    .join('\n');
}

/**
 * What `create -o help` prints, with its final newline.
 * @param protocol options of the protocol the image would be written through; undefined when no file was named.
 */
export function createHelp(format: string, table: OptionTable, protocol: OptionTable | undefined): string {
  if (protocol !== undefined) return `Supported options:\n${describeOptions(table, protocol)}\n`;
  return (
    `Supported ${format} options:\n${describeOptions(table)}\n\n` +
    'The protocol level may support further options.\nSpecify the target filename to include those options.\n'
  );
}

/** What `amend -o help` prints, with its final newline. */
export function amendHelp(format: string, table: OptionTable): string {
  return `Amend options for '${format}':\n${describeOptions(table)}\n`;
}
