/** Which contexts of block states clients mean (Metadata querying). */

/** The numbers of the contexts that a client wants: those whose whole names it says. */
export function chosenContexts(contexts: readonly string[], queries: readonly string[]): readonly number[] {
  return numbersOf(contexts, (name) => queries.includes(name));
}

/** The numbers of the contexts that a client asks about: all, those of a namespace (`qemu:`), or those of a kind of bitmaps. */
export function listedContexts(contexts: readonly string[], queries: readonly string[]): readonly number[] {
  return numbersOf(
    contexts,
    (name) =>
      queries.length === 0 ||
      queries.some((query) => query === name || (query.endsWith(':') && name.startsWith(query))),
  );
}

function numbersOf(contexts: readonly string[], isMeant: (name: string) => boolean): readonly number[] {
  return contexts.flatMap((name, number) => (isMeant(name) ? [number] : []));
}
