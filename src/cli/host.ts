/** The world of the program: this machine. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { DriverRegistry } from '../block/graph/registry.ts';
import type { NodeServicesOptions } from '../host/node/host.ts';
import { otherRuntime } from '../host/node/runtime.ts';
import type { OperationContext } from '../operations/context.ts';
import { programHint } from './hints.ts';
import type { CommandIo, Job, View } from './io.ts';
import type { OutputStream } from './streams.ts';

/** The program was called by the name of the real one. */
const isCompatible = (): boolean => (process.env['QIMG_CALLED_AS'] ?? basename(process.argv0)) === 'qemu-img';

async function allDrivers(): Promise<DriverRegistry> {
  const { drivers } = await import('../drivers.ts');
  return isCompatible() ? drivers.compatible() : drivers;
}

/** Commands that do one thing after the other. */
const SEQUENTIAL: readonly Job['verb'][] = ['create', 'resize', 'snapshot', 'bitmap'];

/** What the user bounds. */
function limitsOf({ spoolLimit }: View): Pick<NodeServicesOptions, 'limits'> {
  return spoolLimit === undefined ? {} : { limits: { spoolBytes: spoolLimit } };
}

async function contextFor(verb: Job['verb'], view: View, err: (text: string) => void): Promise<OperationContext> {
  const [drivers, { nodeServices }, { allowManyRequests }, { permissiveGate }, pipes] = await Promise.all([
    allDrivers(),
    import('../host/node/host.ts'),
    import('../host/node/limits.ts'),
    import('../block/graph/gate.ts'),
    isCompatible() ? {} : import('../host/node/pipes.ts').then(({ standardPipes }) => ({ pipes: standardPipes })),
  ]);
  allowManyRequests();
  const context: OperationContext = {
    drivers,
    services: nodeServices({ secrets: view.secrets, objects: view.objects, ...pipes, ...limitsOf(view) }),
    gate: permissiveGate,
    // The line begins with 0 when the command says so.
    onProgress: (done, total) => (done === 0 && total > 0 ? undefined : view.progress.update(done, total)),
    watched: () => view.progress.watched,
    onWarning: (text, hint) => view.warn(hint === undefined ? text : `${text}\n${programHint(hint)}`),
    onComplaint: (text, closing) => (closing === true ? view.warnLast(text) : err(`qemu-img: ${text}\n`)),
    onNotice: (text) => err(`${text}\n`),
  };
  if (!view.untrusted || verb === 'option-help') return context;
  return (await import('../operations/untrusted.ts')).untrustedContext(context, verb);
}

async function readWhole(name: string): Promise<Uint8Array> {
  const [{ nodeError }, { hostName }] = await Promise.all([
    import('../host/node/fileErrors.ts'),
    import('../host/node/fileNames.ts'),
  ]);
  try {
    // Not with the promises of `node:fs`: they need a thread, which there may be none for.
    return readFileSync(hostName(name));
  } catch (thrown) {
    throw nodeError(thrown, undefined, { filename: name, access: 'read' });
  }
}

let onProgress: (() => void) | undefined;
let isHeeding = false;

/** One listener for the life of the process: without any, Node answers the signal by opening a port for debuggers. */
function heedProgressSignal(): void {
  if (!isHeeding) process.on('SIGUSR1', () => onProgress?.());
  isHeeding = true;
}

/** Commands on this machine, with these streams. */
export function machineIo(output: OutputStream, errors: OutputStream): CommandIo {
  const out = (text: string): void => output.write(text);
  const err = (text: string): void => {
    output.flush();
    errors.write(text);
    errors.flush();
  };
  heedProgressSignal();
  const compatible = isCompatible();
  return {
    build: otherRuntime()?.description,
    out,
    err,
    compatible,
    isWatched: async () => !compatible && (await import('node:tty')).isatty(2),
    readFile: readWhole,
    drivers: allDrivers,
    async execute({ verb, view, run }) {
      if (SEQUENTIAL.includes(verb)) (await import('../host/node/limits.ts')).waitForFlushes();
      return run({ context: await contextFor(verb, view, err), view, out, err });
    },
    onProgressSignal(listener) {
      onProgress = listener;
      return () => {
        onProgress = undefined;
      };
    },
  };
}
