/** What opening and creating images needs; the base of every operation's context. */
import type { Hint } from '../../base/hint.ts';
import type { Deadline } from './deadline.ts';
import type { Gate } from './gate.ts';
import type { NamedNodes } from './namedNodes.ts';
import type { DriverRegistry } from './registry.ts';
import type { Services } from '../services.ts';

/** Drivers, ports and policy. */
export interface GraphContext {
  readonly drivers: DriverRegistry;
  readonly services: Services;
  readonly gate: Gate;
  /** Names of nodes that are taken, where several images are open at the same time. Absent: each has names of its own. */
  readonly nodes?: NamedNodes;
  /** When what is read has to be read. Absent: whenever. */
  readonly deadline?: Deadline;
  /** Receives warnings for the user, without `warning: ` in front, and what can be done about it. */
  onWarning?(text: string, hint?: Hint): void;
  /**
   * Receives what goes wrong besides the error that is going to be thrown, or without being one.
   * @param closing it went wrong when an image was closed, after everything else.
   */
  onComplaint?(text: string, closing?: boolean): void;
  /** Receives text that is shown to the user as it is, several lines without the final newline. */
  onNotice?(text: string): void;
}
