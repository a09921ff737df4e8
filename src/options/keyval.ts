/** The `a=b,c=d` languages of the command line: `-o` lists, `--image-opts` descriptions, `--object` properties. */
import { type BlockError, invalidArgument } from '../base/error.ts';
import { unflatten } from './dotted.ts';
import type { OptionTree } from './tree.ts';

/** One option of a `-o` list, not interpreted yet. */
export interface OptionPair {
  readonly name: string;
  /** Text behind `=`, doubled commas undone. */
  readonly value: string;
  /** Written without `=`: `value` is then `on`, or `off` for a name that was written with `no` in front. */
  readonly bare?: boolean;
}

/** Text under an identifier error. */
const IDENTIFIER_HINT = "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";

/** True for a well-formed identifier of an object or a device. */
export function isIdentifier(text: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._-]*$/.test(text);
}

/** The error for an `id` that is not an identifier. */
export function identifierError(parameter = 'id'): BlockError {
  return invalidArgument(`Parameter '${parameter}' expects an identifier`, {
    hint: IDENTIFIER_HINT,
  });
}

/** Splits at single commas; a doubled comma is a comma of the value. A final single comma ends the last element. */
function splitElements(text: string): string[] {
  const elements: string[] = [];
  let element = '';
  let index = 0;
  while (index < text.length) {
    // A comma in a name is never doubled: only what follows `=` is unescaped.
    if (text[index] === ',' && text[index + 1] === ',' && element.includes('=')) {
      element += ',';
      index += 2;
    } else if (text[index] === ',') {
      elements.push(element);
      element = '';
      index++;
    } else {
      element += text[index];
      index++;
    }
  }
  if (element !== '') elements.push(element);
  return elements;
}

function toPair(element: string): OptionPair {
  const equals = element.indexOf('=');
  if (equals >= 0) return { name: element.slice(0, equals), value: element.slice(equals + 1) };
  if (element.startsWith('no')) return { name: element.slice(2), value: 'off', bare: true };
  return { name: element, value: 'on', bare: true };
}

/** A value as it is written in a list: commas doubled. */
export function escapeValue(value: string): string {
  return value.replaceAll(',', ',,');
}

/**
 * True if `text` can be joined with other `-o` arguments: not empty, no comma in front, no single comma at the end.
 * The message for anything else is `Invalid option list: TEXT`.
 */
export function isOptionList(text: string): boolean {
  if (text === '' || text.startsWith(',')) return false;
  const commas = /,*$/.exec(text)?.[0].length ?? 0;
  return commas % 2 === 0;
}

/** True if an element of the list is exactly `help` or `?`. */
export function asksForHelp(text: string): boolean {
  return splitElements(text).some((element) => element === 'help' || element === '?');
}

/**
 * The pairs of a `-o` list in order. Short forms are accepted without a warning: `lazy_refcounts` is on,
 * `nolazy_refcounts` off. An `id` is taken out, as it names the list and not an option.
 */
export function parseOptionList(text: string): OptionPair[] {
  return splitElements(text)
    .map(toPair)
    .filter((pair) => pair.name !== 'id' || pair.bare === true);
}

/**
 * The pairs of a description in the older syntax (`--image-opts`, `-l snapshot.id=...`, `-T`): the first element may
 * leave out the name `implied`, short forms bring a warning.
 * @throws BlockError for an `id` that is not an identifier.
 */
export function parseDescription(
  text: string,
  implied: string | undefined,
  warn: (text: string, hint?: string) => void,
): OptionPair[] {
  const pairs: OptionPair[] = [];
  // A description that starts with a comma has an empty first value.
  const first = text.startsWith(',') && implied !== undefined ? [''] : [];
  const rest = text.startsWith(',') && implied !== undefined ? text.slice(1) : text;
  for (const element of [...first, ...splitElements(rest)]) {
    if (pairs.length === 0 && implied !== undefined && !element.includes('=')) {
      pairs.push({ name: implied, value: element });
      continue;
    }
    const pair = toPair(element);
    if (pair.bare === true && element !== 'help' && element !== '?') {
      warn(`short-form boolean option '${element}' deprecated`, `Please use ${pair.name}=${pair.value} instead`);
    }
    if (pair.name === 'id' && pair.bare !== true && !isIdentifier(pair.value)) throw identifierError();
    pairs.push(pair);
  }
  return pairs;
}

/** An `--image-opts` description as a tree; a later value for a name replaces an earlier one. */
export function parseImageOptions(text: string, warn: (text: string, hint?: string) => void): OptionTree {
  const pairs = parseDescription(text, 'file', warn).filter((pair) => !(pair.bare && /^(help|\?)$/.test(pair.name)));
  return unflatten(pairs.map((pair) => [pair.name, pair.value] as const));
}

/** What {@link parseProperties} found. */
export interface Properties {
  /** All values are strings; nested names and arrays as written with dots. */
  readonly tree: OptionTree;
  /** `help` or `?` stood alone somewhere. */
  readonly help: boolean;
}

/** Longest part of a property name. */
const MAX_NAME = 127;

/**
 * Properties in the newer, strict syntax of `--object`: every element has a value, except for `help`, and the first,
 * which may leave out the name `implied`.
 */
export function parseProperties(text: string, implied: string): Properties {
  const entries: [string, string][] = [];
  let help = false;
  let rest = text;
  while (rest !== '') {
    const { name, value, used } = nextProperty(rest, entries.length === 0 ? implied : undefined);
    if (value === undefined) help = true;
    else entries.push([name, value]);
    rest = rest.slice(used);
  }
  return { tree: strictTree(entries), help };
}

/** One element at the start of `text` and how many characters it takes; no value means a call for help. */
function nextProperty(text: string, implied: string | undefined): { name: string; value?: string; used: number } {
  const end = text.search(/[=,]/);
  const key = end < 0 ? text : text.slice(0, end);
  if (end < 0 || text[end] === ',') {
    const used = end < 0 ? text.length : end + 1;
    if (key === 'help' || key === '?') return { name: key, used };
    if (implied !== undefined && key !== '') return { name: implied, value: key, used };
    checkName(key);
    throw invalidArgument(`Expected '=' after parameter '${key}'`);
  }
  checkName(key);
  let value = '';
  let index = end + 1;
  for (; index < text.length; index++) {
    if (text[index] === ',') {
      if (text[index + 1] !== ',') break;
      index++;
    }
    value += text[index];
  }
  return { name: key, value, used: Math.min(index + 1, text.length) };
}

function checkName(key: string): void {
  for (const [index, part] of key.split('.').entries()) {
    const valid = index === 0 ? /^[A-Za-z][A-Za-z0-9_-]*$/ : /^(\d+|[A-Za-z][A-Za-z0-9_-]*)$/;
    if (!valid.test(part)) throw invalidArgument(`Invalid parameter '${key}'`);
    if (part.length > MAX_NAME) throw invalidArgument(`Parameter '${part}' is too long`);
  }
}

/** Nests names with dots; a name must not be both a value and a group, nor a group both list and object. */
function strictTree(entries: readonly (readonly [string, string])[]): OptionTree {
  const values = new Map<string, string>();
  for (const [name, value] of entries) values.set(name, value);
  const groups = new Map<string, Set<string>>();
  for (const name of values.keys()) {
    const parts = name.split('.');
    for (let depth = 1; depth < parts.length; depth++) {
      const group = parts.slice(0, depth).join('.');
      const members = groups.get(group) ?? new Set();
      members.add(parts[depth] ?? '');
      groups.set(group, members);
    }
  }
  for (const [group, members] of groups) {
    const digits = [...members].filter((member) => /^\d+$/.test(member));
    if (values.has(group) || (digits.length > 0 && digits.length < members.size)) {
      throw invalidArgument(`Parameters '${group}.*' used inconsistently`);
    }
    for (let index = 0; index < digits.length; index++) {
      if (!members.has(String(index))) throw invalidArgument(`Parameter '${group}.${index}' missing`);
    }
  }
  return unflatten([...values]);
}
