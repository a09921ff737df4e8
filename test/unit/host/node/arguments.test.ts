import { expect, it } from 'vitest';
import { bytesOf } from '../../../../src/base/text.ts';
import { exactArguments } from '../../../../src/host/node/arguments.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

it('nobody is asked for arguments that arrived whole', () => {
  const source = (): never => {
    throw new Error('asked');
  };
  expect(exactArguments(['info', 'é😀'], [source])).toEqual(['info', 'é😀']);
});

it('two names that Node makes one stay two', () => {
  const given = ['compare', 'disk\ufffd', 'disk\ufffd'];
  const [verb, one, two] = exactArguments(given, [() => ['compare', 'disk\xe9', 'disk\xe8'].map(bytes)]);
  expect(verb).toBe('compare');
  expect(bytesOf(one as string)).toEqual(new Uint8Array(bytes('disk\xe9')));
  expect(bytesOf(two as string)).toEqual(new Uint8Array(bytes('disk\xe8')));
});

it('U+FFFD itself is a character like any other', () => {
  expect(exactArguments(['a\ufffd'], [() => [bytes('a\xef\xbf\xbd')]])).toEqual(['a\ufffd']);
});

it('a source that has other arguments is not believed, and without any the program refuses', () => {
  const other = [() => undefined, () => [bytes('b\xe9')]];
  expect(() => exactArguments(['a\ufffd'], other)).toThrow("Cannot tell the bytes of the argument 'a\ufffd'");
  expect(exactArguments(['a\ufffd'], [...other, () => [bytes('a\xe9')]])).toEqual(['a\udce9']);
});
