/**
 * Option tables: one table per driver and purpose gives the TypeScript type of the parsed options, the parsers of
 * `-o` and dotted keys, and the text of `-o help`.
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

type ValueOfKind<K extends OptionKind> = K extends 'bool' ? boolean : K extends 'string' ? string : number;

/** Values of a table's options; those with a `default` are always there. */
export type OptionValues<T extends OptionTable> = {
  readonly [N in keyof T as T[N] extends { default: unknown } ? N : never]: ValueOfKind<T[N]['kind']>;
} & {
  readonly [N in keyof T as T[N] extends { default: unknown } ? never : N]?: ValueOfKind<T[N]['kind']>;
};

/** Values of an unknown table. */
export type AnyOptionValues = Readonly<Record<string, string | number | boolean | undefined>>;
