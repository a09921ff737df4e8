/**
 * Options by the rules of GNU getopt_long: clustered short options, `--name=value` and `--name value`, unambiguous
 * abbreviations, operands anywhere, `--`. Only what the C library prints is an error here; meaning is the command's.
 */
import { bytesOf, textOf } from '../base/text.ts';

/** One option of a command. */
export interface OptionDeclaration {
  /** What the command knows it by; several spellings may share it. */
  readonly id: string;
  /** A single letter. */
  readonly short?: string;
  /** Without the dashes. */
  readonly long?: string;
  /** Name of its value; without one the option takes none. */
  readonly argument?: string;
  /** Only found when written in full, so that it takes no abbreviation away from others. */
  readonly exact?: boolean;
}

/** Something found on the command line. */
export type Argument =
  | { readonly kind: 'option'; readonly id: string; readonly value: string }
  | { readonly kind: 'operand'; readonly value: string };

/** A command line that getopt refuses; the message has no program name in front. */
export class ArgumentError extends Error {}

/** How operands are treated. */
export interface ReaderRules {
  /** The first operand ends the options, as between a program and its command. */
  readonly stopAtOperand?: boolean;
  /** An argument that starts with `-` and a digit is an operand when it comes straight after the first operand. */
  readonly negativeSecond?: boolean;
}

/** Reads a command line from left to right. */
export class ArgumentReader {
  readonly #args: readonly string[];
  readonly #options: readonly OptionDeclaration[];
  readonly #rules: ReaderRules;
  #index = 0;
  /** Rest of a cluster of short options. */
  #cluster = '';
  #operands = 0;
  #literal = false;

  constructor(args: readonly string[], options: readonly OptionDeclaration[], rules: ReaderRules = {}) {
    this.#args = args;
    this.#options = options;
    this.#rules = rules;
  }

  /** The arguments not read yet. */
  rest(): readonly string[] {
    return this.#args.slice(this.#index);
  }

  /** The next option or operand; undefined at the end. */
  next(): Argument | undefined {
    if (this.#cluster !== '') return this.#short();
    const arg = this.#args[this.#index];
    if (arg === undefined) return undefined;
    if (this.#literal || !this.#isOption(arg)) return this.#operand(arg);
    this.#index++;
    if (arg === '--') {
      this.#literal = true;
      return this.next();
    }
    if (arg.startsWith('--')) return this.#long(arg);
    this.#cluster = arg.slice(1);
    return this.#short();
  }

  #isOption(arg: string): boolean {
    if (!arg.startsWith('-') || arg === '-') return false;
    return !(this.#rules.negativeSecond === true && this.#operands === 1 && this.#follows() && /^-\d/.test(arg));
  }

  /** The argument before the current one was the first operand. */
  #follows(): boolean {
    return this.#lastOperand === this.#index - 1;
  }

  #lastOperand = -1;

  #operand(arg: string): Argument | undefined {
    if (this.#rules.stopAtOperand === true) return undefined;
    this.#lastOperand = this.#index;
    this.#operands++;
    this.#index++;
    return { kind: 'operand', value: arg };
  }

  #short(): Argument {
    // A letter is one byte: of others getopt shows the first.
    const letter = textOf(bytesOf(this.#cluster).subarray(0, 1));
    this.#cluster = this.#cluster.slice(1);
    const option = this.#options.find((candidate) => candidate.short === letter);
    if (option === undefined) throw new ArgumentError(`invalid option -- '${letter}'`);
    if (option.argument === undefined) return { kind: 'option', id: option.id, value: '' };
    const attached = this.#cluster;
    this.#cluster = '';
    const value = attached === '' ? this.#args[this.#index++] : attached;
    if (value === undefined) throw new ArgumentError(`option requires an argument -- '${letter}'`);
    return { kind: 'option', id: option.id, value };
  }

  #long(arg: string): Argument {
    const equals = arg.indexOf('=');
    const name = arg.slice(2, equals < 0 ? undefined : equals);
    const option = this.#find(name, arg);
    const attached = equals < 0 ? undefined : arg.slice(equals + 1);
    if (option.argument === undefined) {
      if (attached !== undefined) throw new ArgumentError(`option '--${option.long}' doesn't allow an argument`);
      return { kind: 'option', id: option.id, value: '' };
    }
    const value = attached ?? this.#args[this.#index++];
    if (value === undefined) throw new ArgumentError(`option '--${option.long}' requires an argument`);
    return { kind: 'option', id: option.id, value };
  }

  #find(name: string, arg: string): OptionDeclaration {
    const exact = this.#options.find((option) => option.long === name);
    if (exact !== undefined) return exact;
    const matches = this.#options.filter((option) => option.exact !== true && option.long?.startsWith(name) === true);
    const [first] = matches;
    if (first === undefined) throw new ArgumentError(`unrecognized option '${arg}'`);
    // Spellings of one option are no ambiguity.
    if (matches.every((option) => option.id === first.id)) return first;
    const names = matches.map((option) => `'--${option.long}'`).join(' ');
    throw new ArgumentError(`option '${arg}' is ambiguous; possibilities: ${names}`);
  }
}
