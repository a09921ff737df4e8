import { expect, it } from 'vitest';
import { inOrder } from '../../../src/options/order.ts';

function sorted(names: readonly string[]): string[] {
  return inOrder(names.map((name) => [name, 0])).map(([name]) => name);
}

it('is that in which the real tool complains about options of one letter', () => {
  const letters = 'rG4wLd9QiVnC0sH5xMeRjWoD1tIa6yNfSkXpE2uJb7zOgTlAYqF3vKc8PhUmBZ';
  expect(sorted(Array.from(letters).toSorted()).join('')).toBe(letters);
});

it('has the last of options with one place first', () => {
  expect(sorted(['abx', 'aby', 'abz', 'abq'])).toEqual(['abq', 'abz', 'aby', 'abx']);
});
