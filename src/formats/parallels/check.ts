/** Structure check and repair of Parallels images. */
import type { CheckFindings, Checker, RepairMode } from '../../block/capabilities.ts';
import type { ParallelsState } from './state.ts';
import { UnitSet } from '../../block/kit/unitSet.ts';

/** Findings that are described one by one; more are only counted, so that a hostile image cannot fill a disk with text. */
const MAX_LINES = 10000;
/** Bytes that are copied at a time. */
const CHUNK = 1048576;

type Say = (line: string) => void;

/** The checker of an image. */
export function checkerOf(image: ParallelsState): Checker {
  return {
    deepOnly: false,
    repairs: true,
    check: (repair, report) => check(image, repair, (text) => report({ severity: 'finding', text })),
  };
}

/** True if an image that is opened for writing has to be repaired first. */
export async function needsRepair(image: ParallelsState): Promise<boolean> {
  if (image.inUse || image.wrongDataOffset) return true;
  const seen = new UnitSet();
  let wrong = false;
  await image.walk((_, entry) => {
    wrong ||= image.isOutside(entry) || !seen.add(image.unitOf(entry * image.header.entryUnit));
  });
  return wrong;
}

/** Checks an image, and repairs what `repair` asks for. */
export async function check(image: ParallelsState, repair: RepairMode, say: Say): Promise<CheckFindings> {
  const findings = new Findings(repair === 'all', say);
  if (image.inUse && findings.damage('image was not closed correctly')) {
    await image.begin();
    image.inUse = false;
  }
  if (image.wrongDataOffset && findings.damage('data_off field has incorrect value')) await image.correctDataOffset();
  await checkPlaces(image, findings);
  image.forgetUsage();
  const { end } = await image.usage();
  const leaks = await checkEnd(image, end, repair !== 'none', findings);
  await checkDuplicates(image, findings);
  findings.finish();
  if (repair !== 'none') await image.flush();
  const { corruptions, corruptionsFixed } = findings;
  return {
    corruptions,
    corruptionsFixed,
    ...leaks,
    checkErrors: 0,
    imageEndOffset: (await image.usage()).end,
    clusters: await statistics(image),
  };
}

/** Counts damage, and says what is done about it. */
class Findings {
  corruptions = 0;
  corruptionsFixed = 0;
  readonly fix: boolean;
  readonly #say: Say;

  constructor(fix: boolean, say: Say) {
    this.fix = fix;
    this.#say = say;
  }

  /** @returns true if it is to be repaired. */
  damage(what: string): boolean {
    if (this.fix) this.corruptionsFixed++;
    else this.corruptions++;
    if (this.corruptions + this.corruptionsFixed <= MAX_LINES) this.say(this.fix, what);
    return this.fix;
  }

  say(fixed: boolean, what: string): void {
    this.#say(`${fixed ? 'Repairing' : 'ERROR'} ${what}`);
  }

  finish(): void {
    const silent = this.corruptions + this.corruptionsFixed - MAX_LINES;
    if (silent > 0) this.#say(`(${silent} more errors)`);
  }
}

async function checkPlaces(image: ParallelsState, findings: Findings): Promise<void> {
  await image.walk((cluster, entry) => {
    if (!image.isOutside(entry) || !findings.damage(`cluster ${cluster} is outside image`)) return;
    return image.begin().then(() => image.setEntry(cluster, 0));
  });
}

/** Space behind the last cluster. */
async function checkEnd(
  image: ParallelsState,
  end: number,
  fix: boolean,
  findings: Findings,
): Promise<Pick<CheckFindings, 'leaks' | 'leaksFixed'>> {
  const leaked = image.fileSize - end;
  if (leaked <= 0) return { leaks: 0, leaksFixed: 0 };
  const count = Math.ceil(leaked / image.header.cluster);
  findings.say(fix, `space leaked at the end of the image ${leaked}`);
  if (!fix) return { leaks: count, leaksFixed: 0 };
  await image.begin();
  await image.file.truncate(end);
  return { leaks: 0, leaksFixed: count };
}

/** Clusters of the file that are used more than once: all guest clusters but the first get copies of their own. */
async function checkDuplicates(image: ParallelsState, findings: Findings): Promise<void> {
  const seen = new UnitSet();
  await image.walk((cluster, entry) => {
    const place = image.place(entry);
    if (place === undefined || seen.add(image.unitOf(place))) return;
    if (!findings.damage(`duplicate offset in BAT entry ${cluster}`)) return;
    return separate(image, cluster, place, seen);
  });
}

async function separate(image: ParallelsState, cluster: number, place: number, seen: UnitSet): Promise<void> {
  await image.begin();
  const { start } = await image.reserve(1);
  const target = image.placeOfUnit(start);
  const buffer = new Uint8Array(Math.min(CHUNK, image.header.cluster));
  for (let at = 0; at < image.header.cluster; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, image.header.cluster - at));
    await image.file.readPadded(place + at, piece);
    await image.file.write(target + at, piece);
  }
  seen.add(start);
  await image.link(cluster, start, 1);
}

async function statistics(image: ParallelsState): Promise<NonNullable<CheckFindings['clusters']>> {
  const found = { total: image.header.entries, allocated: 0, fragmented: 0, compressed: 0 };
  let expected: { readonly cluster: number; readonly place: number } | undefined;
  await image.walk((cluster, entry) => {
    const place = image.place(entry);
    if (place === undefined) return;
    found.allocated++;
    if (expected?.cluster === cluster && expected.place !== place) found.fragmented++;
    expected = { cluster: cluster + 1, place: place + image.header.cluster };
  });
  return found;
}
