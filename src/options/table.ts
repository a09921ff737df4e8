/**
 * Option tables: one table per driver and purpose gives the parsers of `-o` and dotted keys, and the text of `-o help`.
 */

/** Kind of an option's value as users write it. */
export type OptionKind = 'string' | 'bool' | 'number' | 'size';

/** One option. */
export interface OptionSpec {
  readonly kind: OptionKind;
  /** One line for `-o help`, in our own words. */
  readonly help: string;
  /** Shown in `-o help` as `(default: ...)`, when the real tool shows one. */
  readonly defaultText?: string;
  /** Value in force when the user gives none. */
  readonly default?: string | number | boolean;
}

/** The options of a driver for one purpose, by their full name (`encrypt.key-secret`). */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** Values of a table's options by name: those that were given, and those that have a default. */
export type AnyOptionValues = Readonly<Record<string, string | number | boolean | undefined>>;
