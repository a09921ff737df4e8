/** Which file of an archive is meant where nobody says: its disk, if there is one. */
import { BlockError } from '../../base/error.ts';
import type { StorageDriver } from '../../storage/storage.ts';
import type { Member } from './member.ts';

/** An archive whose members can be looked at. */
export interface Choice {
  /** Name of the driver and of the archive, for advice. */
  readonly driver: string;
  readonly archive: string;
  open(member: Member): StorageDriver;
  /** The format of a file by its beginning. */
  probe(head: Uint8Array, name: string): string | undefined;
}

/** Bytes that formats are told by. */
const HEAD = 2048;
/** Most members that are looked into. */
const MOST_LOOKS = 200;
/** Longest OVF descriptor. */
const LONGEST_DESCRIPTOR = 4 * 1024 * 1024;
/** Most names in an error. */
const MOST_NAMES = 10;
/** What raw disks are called, also compressed ones. */
const DISK_NAME = /\.(img|raw|iso|bin|dd|disk|hdd|vhdx?|vmdk|vdi|qcow2?|qed|dmg)(\.(gz|xz|zst|bz2))?$/i;

/** The only disk of an archive. @throws BlockError if there are none or several, with their names. */
export async function chosenMember(members: readonly Member[], choice: Choice): Promise<Member> {
  const files = members.filter(({ size }) => size > 0);
  const [only] = files;
  if (only && files.length === 1) return only;
  const disks = (await packagedDisks(files, choice)) ?? (await disksAmong(files, choice));
  const [disk] = disks;
  if (disk && disks.length === 1) return disk;
  throw ambiguous(disks.length > 0 ? disks : files, disks.length > 0, choice);
}

function ambiguous(members: readonly Member[], areDisks: boolean, { archive, driver }: Choice): BlockError {
  const { length } = members;
  const kind = areDisks ? 'disks' : 'files, none of which is a disk for certain';
  const what = length === 0 ? 'no files' : `${length} ${kind}`;
  const names = members.slice(0, MOST_NAMES).map(({ name }) => `'${name}'`);
  const list = `${names.join(', ')}${length > MOST_NAMES ? ', ...' : ''}`;
  const [first] = members;
  return new BlockError('invalid-argument', `There are ${what} in '${archive}'${first ? `: ${list}` : ''}`, {
    hint: first ? { about: 'member', driver, archive, member: first.name } : [],
  });
}

async function beginning(member: Member, most: number, choice: Choice): Promise<Uint8Array> {
  const storage = choice.open(member);
  try {
    const head = new Uint8Array(Math.min(most, member.size));
    await storage.read(0, head);
    return head;
  } finally {
    await storage.close();
  }
}

/** An attribute of an XML tag, whatever its namespace is called. */
function attribute(tag: string, name: string): string | undefined {
  return new RegExp(`\\b(?:\\w+:)?${name}\\s*=\\s*["']([^"']*)["']`).exec(tag)?.[1];
}

/** The disks that the descriptor of an OVA package names (DSP0243, sections 7.1 and 9.1); undefined if it has none. */
async function packagedDisks(members: readonly Member[], choice: Choice): Promise<Member[] | undefined> {
  const descriptor = members.find(({ name, size }) => /\.ovf$/i.test(name) && size <= LONGEST_DESCRIPTOR);
  if (!descriptor) return undefined;
  const text = new TextDecoder().decode(await beginning(descriptor, LONGEST_DESCRIPTOR, choice));
  const hrefs = new Map<string, string>();
  for (const [tag] of text.matchAll(/<(?:\w+:)?File\b[^<>]*>/g)) {
    const [id, href] = [attribute(tag, 'id'), attribute(tag, 'href')];
    if (id !== undefined && href !== undefined) hrefs.set(id, href);
  }
  const byName = new Map(members.map((member) => [member.name.replace(/^(\.\/)+/, ''), member]));
  const found = new Set<Member>();
  for (const [tag] of text.matchAll(/<(?:\w+:)?Disk\b[^<>]*>/g)) {
    const member = byName.get(hrefs.get(attribute(tag, 'fileRef') ?? '') ?? '');
    if (member) found.add(member);
  }
  return found.size > 0 ? [...found] : undefined;
}

/** Members that look like disks; those that are called like raw ones count if no others are there. */
async function disksAmong(members: readonly Member[], choice: Choice): Promise<Member[]> {
  const certain: Member[] = [];
  for (const member of members.slice(0, MOST_LOOKS)) {
    if (member.problem !== undefined) continue;
    if (choice.probe(await beginning(member, HEAD, choice), member.name) !== undefined) certain.push(member);
  }
  return certain.length > 0 ? certain : members.filter(({ name }) => DISK_NAME.test(name));
}
