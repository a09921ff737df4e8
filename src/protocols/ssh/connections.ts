/** Sessions with machines: kept for a moment when nobody needs them, shared where there are many users. */
import type { Services } from '../../block/services.ts';
import type { Place } from './address.ts';
import { logIn, settle, type Settled } from './program.ts';
import type { Session } from './session.ts';

/** Milliseconds that a session is kept without users: logging in takes longer than most of what is done. */
const LINGER = 200;

/** Users from which on another session is worth a login: one command has hardly as many files open. */
const SHARED = 16;

/** Sessions with one place. Servers have a limit for logins at the same time. */
const MAX_SESSIONS = 4;

/** A session that is there or is being made. */
interface Line {
  readonly session: Promise<Session>;
  ready: Session | undefined;
  users: number;
  /** How often it was taken. */
  taken: number;
}

/** What is known of one place. */
interface Known {
  readonly lines: Set<Line>;
  settled?: Promise<Settled>;
}

/** By the port that makes them, and by place. */
const known = new WeakMap<object, Map<string, Known>>();

/** A session, for as long as somebody needs it. */
export interface Lease {
  readonly session: Session;
  /** Gives it back. Nothing may be under way. A second call does nothing. */
  release(): void;
}

function knownOf({ programs }: Services, place: Place): Known {
  const key = programs ?? known;
  const places = known.get(key) ?? new Map<string, Known>();
  known.set(key, places);
  const name = JSON.stringify(place);
  const found = places.get(name) ?? { lines: new Set<Line>() };
  places.set(name, found);
  return found;
}

/** The user and the port that ssh takes for a place. */
export function settledOf(services: Services, place: Place): Promise<Settled> {
  const found = knownOf(services, place);
  found.settled ??= settle(services, place);
  found.settled.catch(() => delete found.settled);
  return found.settled;
}

/** The sessions that are of use. */
function usable({ lines }: Known): readonly Line[] {
  for (const line of lines) if (line.ready?.failure) lines.delete(line);
  return [...lines];
}

/** A session with a place: the one with the fewest users, or a new one where all have many. */
export async function lease(services: Services, place: Place): Promise<Lease> {
  const found = knownOf(services, place);
  const lines = usable(found);
  const least = lines.toSorted((a, b) => a.users - b.users)[0];
  const line =
    least && (least.users < SHARED || lines.length >= MAX_SESSIONS) ? least : newLine(services, place, found);
  line.users++;
  line.taken++;
  let released = false;
  const release = (): void => {
    if (released) return;
    released = true;
    line.users--;
    if (line.users === 0) void retire(found, line);
  };
  try {
    return { session: await line.session, release };
  } catch (error) {
    release();
    throw error;
  }
}

function newLine(services: Services, place: Place, { lines }: Known): Line {
  const session = logIn(services, place);
  const line: Line = { session, ready: undefined, users: 0, taken: 0 };
  lines.add(line);
  void settleLine(line, lines);
  return line;
}

async function settleLine(line: Line, lines: Set<Line>): Promise<void> {
  try {
    line.ready = await line.session;
  } catch {
    lines.delete(line);
  }
}

/** Ends a session if nobody has needed it for a moment. */
async function retire({ lines }: Known, line: Line): Promise<void> {
  const { taken } = line;
  if (line.ready && !line.ready.failure) await line.ready.linger(LINGER);
  if (line.taken !== taken) return;
  lines.delete(line);
  line.ready?.close();
}

/** Runs `body` with a session. */
export async function withSession<T>(
  services: Services,
  place: Place,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const taken = await lease(services, place);
  try {
    return await body(taken.session);
  } finally {
    taken.release();
  }
}
