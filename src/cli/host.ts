/** The world of the program: this machine. */
import type { OperationContext } from '../operations/context.ts';
import type { CommandIo, Requests, View } from './io.ts';
import type { OutputStream } from './streams.ts';

async function contextFor(view: View, err: (text: string) => void): Promise<OperationContext> {
  const [{ drivers }, { nodeServices }, { permissiveGate }] = await Promise.all([
    import('../drivers.ts'),
    import('../host/node/host.ts'),
    import('../block/gate.ts'),
  ]);
  return {
    drivers,
    services: nodeServices({ secrets: view.secrets }),
    gate: permissiveGate,
    // The line begins with 0 when the command says so.
    onProgress: (done, total) => (done === 0 && total > 0 ? undefined : view.progress.update(done, total)),
    watched: () => view.progress.watched,
    onWarning: (text) => view.warn(text),
    onNotice: (text) => err(`${text}\n`),
  };
}

async function readWhole(name: string): Promise<Uint8Array> {
  const [{ readFile }, { nodeError }] = await Promise.all([
    import('node:fs/promises'),
    import('../host/node/fileErrors.ts'),
  ]);
  try {
    return await readFile(name);
  } catch (thrown) {
    throw nodeError(thrown, undefined, { file: name, operation: 'read' });
  }
}

/** Commands on this machine, with these streams. */
export function machineIo(output: OutputStream, errors: OutputStream): CommandIo {
  const out = (text: string): void => output.write(text);
  const err = (text: string): void => {
    output.flush();
    errors.write(text);
    errors.flush();
  };
  return {
    out,
    err,
    readFile: readWhole,
    async execute<V extends keyof Requests>(verb: V, request: Requests[V], view: View) {
      const { executorOf } = await import('./execute/index.ts');
      const executor = await executorOf(verb);
      return executor(await contextFor(view, err), request, view, { out, err });
    },
    onProgressSignal(listener) {
      process.on('SIGUSR1', listener);
      return () => process.off('SIGUSR1', listener);
    },
  };
}
