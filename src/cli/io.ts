/** What a command gets from outside: two streams, small files, and who does the work. */
import type {
  AmendRequest,
  BenchRequest,
  BitmapRequest,
  CheckRequest,
  CommitRequest,
  CompareRequest,
  ConvertRequest,
  CreateRequest,
  DdRequest,
  ImageSource,
  InfoRequest,
  MapRequest,
  MeasureRequest,
  RebaseRequest,
  ResizeRequest,
  SnapshotRequest,
} from '../operations/requests.ts';
import type { SecretStore } from '../block/services.ts';
import type { Progress } from './progress.ts';

/** `-o help`: the options of a format. */
export interface OptionHelpRequest {
  readonly purpose: 'create' | 'amend';
  /** Driver name; with `amend` absent if the image decides. */
  readonly format?: string;
  /** The file that would be written, for the options of its protocol. */
  readonly filename?: string;
  /** With `amend` and no format: the image to look at. */
  readonly image?: ImageSource;
}

/** The request of each command. */
export interface Requests {
  readonly create: CreateRequest;
  readonly info: InfoRequest;
  readonly check: CheckRequest;
  readonly map: MapRequest;
  readonly measure: MeasureRequest;
  readonly compare: CompareRequest;
  readonly convert: ConvertRequest;
  readonly dd: DdRequest;
  readonly commit: CommitRequest;
  readonly rebase: RebaseRequest;
  readonly resize: ResizeRequest;
  readonly snapshot: SnapshotRequest;
  readonly bitmap: BitmapRequest;
  readonly amend: AmendRequest;
  readonly bench: BenchRequest;
  readonly 'option-help': OptionHelpRequest;
}

/** How the result is shown; not part of what is done. */
export interface View {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly progress: Progress;
  readonly secrets: SecretStore;
  /** Prints `qemu-img: warning: TEXT`. */
  warn(text: string): void;
}

/** The world of a command. */
export interface CommandIo {
  /** Standard output. */
  out(text: string): void;
  /** Standard error. */
  err(text: string): void;
  /** A whole small file; fails with a `BlockError` that has the C library's text. */
  readFile(name: string): Promise<Uint8Array>;
  /** Does the work, prints the result, and gives the exit code. Failures are thrown. */
  execute<V extends keyof Requests>(verb: V, request: Requests[V], view: View): Promise<number>;
  /** Calls `listener` whenever the user asks for progress by a signal; the result stops that. */
  onProgressSignal?(listener: () => void): () => void;
}
