/**
 * Option tables: one table per driver and purpose gives the parsers of `-o` and dotted keys, the text of `-o help`, and
 * the type of the values that the driver gets.
 */

/** Kind of an option's value as users write it. */
export type OptionKind = 'string' | 'bool' | 'number' | 'size';

/** One option. */
export interface OptionSpec {
  readonly kind: OptionKind;
  /** One line for `-o help`: in our own words, or in those of the real tool where somebody may compare them. */
  readonly help: string;
  /** Shown in `-o help` as `(default: ...)`, when the real tool shows one. */
  readonly defaultText?: string;
  /** Value in force when the user gives none. */
  readonly default?: string | number | boolean;
}

/** The options of a driver for one purpose, by their full name (`encrypt.key-secret`). */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** TypeScript's type for each kind. */
export interface KindTypes {
  readonly string: string;
  readonly bool: boolean;
  readonly number: number;
  readonly size: number;
}

/** An option that always has a value. */
export type Defaulted = OptionSpec & { readonly default: string | number | boolean };

/**
 * Values of one table's options by name. Tables declared with `as const satisfies OptionTable` give exact types; options
 * without a default may be absent.
 */
export type OptionValues<T extends OptionTable> = {
  readonly [N in keyof T as T[N] extends Defaulted ? N : never]: KindTypes[T[N]['kind']];
} & {
  readonly [N in keyof T as T[N] extends Defaulted ? never : N]?: KindTypes[T[N]['kind']] | undefined;
};

/** Values of whatever table by name: those that were given, and those that have a default. */
export type AnyOptionValues = Readonly<Record<string, string | number | boolean | undefined>>;
