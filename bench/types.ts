/** What a bench is made of, and what comes out of it: plain data, as in the files of `--json`. */

/** Programs that are measured: qimg under Node, as one file, another checkout or build of it, and the real program. */
export type Side = 'node' | 'standalone' | 'against' | 'real';

/** Where the goal of a row is; a ratio of 1 is as fast as the real program. Each is for the fastest run. */
export interface Goal {
  /** Most wall time as a ratio, under Node and as one file. */
  readonly wall?: readonly [node: number, standalone: number];
  /** What `wall` is a ratio to: the real program, or a start of Node or of an executable in which nothing is done. */
  readonly of?: 'real' | 'empty';
  /** Most milliseconds. */
  readonly milliseconds?: number;
  /** Largest output as a ratio to the real program's. */
  readonly size?: number;
}

/** What is run, by every program in turn. Names of files are relative to the directory of the row's file system. */
export interface Row {
  readonly name: string;
  /** Arguments for either program. */
  readonly argv: readonly string[];
  /**
   * An image that either program serves while `argv` runs, which is the whole command of a client then; in it, `URI` is where
   * that is. Only the client is measured.
   */
  readonly served?: { readonly image: string; readonly format: string; readonly writable?: boolean };
  /** It works on files of a server of SSH, and this is the command of `sftp` that does the same, for lack of a real program that can. */
  readonly sftp?: 'get' | 'put';
  /** What takes the real program's place. */
  readonly other?: readonly string[];
  /** Files that it reads (`inputs.mjs` makes them). */
  readonly needs?: readonly string[];
  /** Inputs that it changes, as [input, name of the copy]. */
  readonly copies?: readonly (readonly [string, string])[];
  /** Commands of the real program after the copies are made. */
  readonly prepare?: readonly (readonly string[])[];
  /** Files that it writes; the size of the first counts. */
  readonly outputs?: readonly string[];
  /** Exit codes other than 0. */
  readonly accept?: readonly number[];
  /** Commands of the real program that say, by exit code 0, that what either program wrote is right. */
  readonly verify?: readonly (readonly string[])[];
  /** Both programs have to print the same. */
  readonly sameText?: boolean;
  /** File system, if not that of the temporary directory. */
  readonly on?: 'xfs' | 'btrfs';
  /** One of those that `--quick` runs. */
  readonly quick?: boolean;
  readonly goal?: Goal;
}

/** Runs of one program. */
export interface Figures {
  /** Milliseconds of each run. */
  readonly wall: number[];
  /** Milliseconds of processor time of each run, by all threads; without them where nothing counts them. */
  readonly cpu: number[];
  /** Most memory, MiB, over all runs. */
  memory?: number;
  /** Bytes that its output takes on the disk. */
  size?: number;
}

/** A row that was run. */
export interface RowResult {
  readonly kind: 'row';
  readonly group: string;
  readonly name: string;
  readonly goal?: Goal;
  readonly sides: Partial<Record<Side, Figures>>;
  /** Starts in which nothing is done, of Node and of an executable. */
  readonly empty?: Partial<Record<Side, Figures>>;
  /** Why it could not be run here. */
  readonly skipped?: string;
  /** What went wrong: a program that failed, or an output that the real program does not accept. */
  readonly failed?: string;
}

/** How the time or the memory of a command grows with what it works on. */
export interface GrowthResult {
  readonly kind: 'growth';
  readonly group: string;
  readonly name: string;
  readonly what: 'time' | 'memory';
  /** Amounts of data or metadata, in whatever unit. */
  readonly amounts: readonly number[];
  /** Milliseconds of processor time without start-up, or MiB, for each amount. */
  readonly sides: Partial<Record<Side, readonly number[]>>;
  /** Most growth beside linear (time) or none (memory). */
  readonly goal: number;
  readonly skipped?: string;
  readonly failed?: string;
}

/** How near a conversion comes to keeping all simulated disks or cores busy. */
export interface SimulatedResult {
  readonly kind: 'simulated';
  readonly group: string;
  readonly name: string;
  /** Milliseconds that it took, and that it takes when all are busy all the time. */
  readonly wall: number;
  readonly ideal: number;
  readonly requests: number;
  /** Requests in flight: on average, and at most. */
  readonly average: number;
  readonly most: number;
  /** Most wall time as a ratio to the ideal. */
  readonly goal: number;
}

export type Result = RowResult | GrowthResult | SimulatedResult;

/** What the figures depend on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory: string;
  readonly kernel: string;
  readonly fileSystem: string;
  readonly node: string;
  readonly qimg: string;
  readonly standalone?: string;
  readonly real: string;
}

/** One run of the bench, as `--json` keeps it. */
export interface Run {
  readonly machine: Machine;
  /** MiB of the test disk. */
  readonly size: number;
  /** Runs of each row that are counted, at most. */
  readonly runs: number;
  readonly date: string;
  /** Seconds that all of it took, inputs and verification included. */
  readonly seconds: number;
  readonly results: readonly Result[];
}

/** A program to be measured. */
export interface Program {
  readonly side: Side;
  /** Its path. */
  readonly path: string;
  /** A command of the same making that does nothing. */
  readonly empty?: readonly string[];
}
